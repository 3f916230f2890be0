// SPDX-License-Identifier: MIT
#pragma once
// The part of a file that a GET is answered with, for every way in which files are served.

#include <cstdint>
#include <optional>
#include <string_view>

#include "net/http.hpp"
#include "net/range.hpp"

namespace atelier::gateway {

/// Decides by the request's Range which bytes of a file of `size` bytes are sent, and sets status (206, 416)
/// and Content-Range if that is not all of it. False if nothing is: the answer is whole.
[[nodiscard]] bool take_range(const net::Request& request, std::uint64_t size, std::string_view etag,
                              std::optional<std::int64_t> modified, net::Response& response,
                              net::ByteRange& range);

}  // namespace atelier::gateway
