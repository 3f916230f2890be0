// SPDX-License-Identifier: MIT
#include "runtime/runtime.hpp"

namespace atelier {

awaitable<bool> Runtime::sleep_until(Instant when) {
  auto timer = make_timer();
  timer->expires_at(when);
  co_return co_await timer->wait();
}

}  // namespace atelier
