// SPDX-License-Identifier: MIT
#pragma once
// An attachment as it was recorded, or an error: a store may give other bytes than it was given.

#include <memory>
#include <string>

#include "workshop/workshop.hpp"

namespace atelier::workshop {

/// What lies under `attachment`, with its size and digest looked at (large ones on the compute pool). Errors:
/// not_found, unavailable (the journal cannot be reached for the moment), io (it is damaged).
[[nodiscard]] awaitable<Result<std::shared_ptr<const std::string>>> read_attachment(
    Runtime& runtime, Workshop& workshop, core::Attachment attachment);

}  // namespace atelier::workshop
