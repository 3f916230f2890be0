// SPDX-License-Identifier: MIT
#pragma once
// Conditional and range requests (RFC 9110 13, 14): one byte range, entity tags. Pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/header_list.hpp"

namespace atelier::net {

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};

/// What a GET of `size` bytes is answered with.
struct RangeDecision {
  enum class Kind { whole, partial, unsatisfiable };  // 200, 206, 416
  Kind kind = Kind::whole;
  ByteRange range;  // whole: all of it
  bool operator==(const RangeDecision&) const = default;
};

/// `Range` and `If-Range` of a request. Other units, several ranges and malformed values are ignored: 200
/// (RFC 9110 14.2). `etag` as sent, with quotes; If-Range compares strongly. `modified` in Unix seconds.
[[nodiscard]] RangeDecision decide_range(const HeaderList& request, std::uint64_t size, std::string_view etag,
                                         std::optional<std::int64_t> modified = std::nullopt);
/// "bytes 0-9/100"; for `unsatisfiable` "bytes */100".
[[nodiscard]] std::string content_range(const RangeDecision& decision, std::uint64_t size);

/// True if a list of entity tags (If-None-Match) holds `etag` by weak comparison, or is "*".
[[nodiscard]] bool etag_in_list(std::string_view list, std::string_view etag);
/// True if the request wants the answer only of another state of the file than this one: 412 (If-Match, or
/// without it If-Unmodified-Since).
[[nodiscard]] bool precondition_fails(const HeaderList& request, std::string_view etag,
                                      std::optional<std::int64_t> modified = std::nullopt);
/// True if the request may be answered with 304: If-None-Match, or without it If-Modified-Since.
[[nodiscard]] bool is_not_modified(const HeaderList& request, std::string_view etag,
                                   std::optional<std::int64_t> modified = std::nullopt);

}  // namespace atelier::net
