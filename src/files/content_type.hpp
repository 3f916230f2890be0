// SPDX-License-Identifier: MIT
#pragma once
// The media type that a name promises, by its extension only.

#include <string_view>

namespace atelier::files {

/// The MIME type of a name, e.g. "image/png"; "application/octet-stream" when unknown. Case of the extension
/// is ignored.
[[nodiscard]] std::string_view content_type(std::string_view name);

}  // namespace atelier::files
