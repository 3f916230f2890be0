// SPDX-License-Identifier: MIT
#pragma once
// A picture in another form, and the process that makes it: `serve` never decodes what people upload.

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "image/render_request.hpp"

namespace atelier::image {

/// Bytes of a picture file into those of the form that is asked for. Errors as decode_first; internal for
/// `masked`, which takes two.
[[nodiscard]] Result<std::string> render(std::string_view bytes, const RenderRequest& request);

/// The loop of the image process: answers requests that come on the SOCK_SEQPACKET socket `socket` until its
/// other end is closed. Gives up its rights first: memory, descriptors and file size are limited, and it ends
/// with its parent. Gives the exit status.
[[nodiscard]] int serve_render_requests(int socket);

}  // namespace atelier::image
