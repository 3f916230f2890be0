// SPDX-License-Identifier: MIT
#pragma once
// What POST /upload/mask makes (CI D2).

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier::image {

/// The first frame of `original` with the alpha of `mask` (opaque if that has none) instead of its own, as
/// PNG with the original's text chunks. Errors: bad_request (not of one size: ComfyUI fails there, too), and
/// as decode_first.
[[nodiscard]] Result<std::string> with_alpha_of(std::string_view original, std::string_view mask);

}  // namespace atelier::image
