// SPDX-License-Identifier: MIT
#pragma once
// One gzip stream (RFC 1952) put together from parts that were compressed apart: what is the same for
// everybody is compressed once. Any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier::gateway {

/// Raw deflate that ends on a byte and refers to nothing outside of itself, and what the trailer needs of it.
struct DeflatedPart {
  std::string bytes;
  std::uint32_t crc = 0;
  std::uint64_t length = 0;  // of the text
};
/// Errors: internal (no memory).
[[nodiscard]] Result<DeflatedPart> deflate_part(std::string_view text);

class GzipStream {
 public:
  GzipStream();
  void add(const DeflatedPart& part);
  /// The whole stream; nothing may be added after it.
  [[nodiscard]] std::string finish() &&;

 private:
  std::string bytes_;
  std::uint32_t crc_ = 0;
  std::uint64_t length_ = 0;
};

}  // namespace atelier::gateway
