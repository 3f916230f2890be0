// SPDX-License-Identifier: MIT
#pragma once
// How long work on the one thread is done in pieces.

#include <boost/asio/post.hpp>

#include "runtime/awaitable.hpp"

namespace atelier {

/// Lets everything that is ready have its turn. What is read of core before it may have changed after it.
[[nodiscard]] inline awaitable<void> let_others_run() {
  auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, use_awaitable);
}

}  // namespace atelier
