// SPDX-License-Identifier: MIT
#pragma once
// GET /view (comfyui-interface.md D3): which file a request means, and pictures made from it. Blocks: file
// pool.

#include <optional>
#include <string>

#include "base/result.hpp"
#include "net/http.hpp"
#include "rehearsal/folders.hpp"

namespace atelier::rehearsal {

/// The decoded query parameters that matter.
struct ViewQuery {
  std::optional<std::string> filename, type, subfolder, preview, channel;
  [[nodiscard]] static ViewQuery from(const net::Request& request);
};

/// The whole answer, with ComfyUI's statuses: 404 no filename or no file, 400 a bad name or type, 403 a
/// subfolder that leaves its folder, 500 not decodable. A raw file is sent with its type, ETag, Last-Modified
/// and one byte range; types that a browser would run become application/octet-stream.
[[nodiscard]] net::Response make_view(const Folders& folders, const ViewQuery& query,
                                      const net::HeaderList& headers);

}  // namespace atelier::rehearsal
