// SPDX-License-Identifier: MIT
#pragma once
// An attachment as it was recorded, or an error: a store may give other bytes than it was given.

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "workshop/workshop.hpp"

namespace atelier::workshop {

/// What lies under `attachment`, with its size and digest looked at (large ones on the compute pool). Errors:
/// not_found, unavailable (the journal cannot be reached for the moment), io (it is damaged).
[[nodiscard]] awaitable<Result<std::shared_ptr<const std::string>>> read_attachment(
    Runtime& runtime, Workshop& workshop, core::Attachment attachment);

/// Runs `work()`, which grows with the bytes of an attachment: here while they are few, else on the compute
/// pool (core.md 9). Name the callable first and move it in (style.md 5).
template <class F>
[[nodiscard]] awaitable<std::invoke_result_t<F&>> run_by_size(Runtime& runtime, std::size_t bytes, F work) {
  constexpr std::size_t kHereMax = 256 << 10;
  if (bytes <= kHereMax) co_return work();
  co_return co_await run_blocking(runtime.compute_pool(), std::move(work));
}

}  // namespace atelier::workshop
