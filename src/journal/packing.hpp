// SPDX-License-Identifier: MIT
#pragma once
// How the bytes of an attachment lie in a store: as one LZ4 block where that is clearly shorter
// (lz4.org; docs/decisions/journal-2026-11-28-packed-attachments.md). One thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier::journal {

struct Packed {
  std::string_view bytes;     // into the Packer or what it was given
  std::int64_t unpacked = 0;  // how many bytes it was; 0: `bytes` are as they came
};

class Packer {
 public:
  /// Valid until the next call, and as long as `bytes`.
  [[nodiscard]] Packed pack(std::string_view bytes);

 private:
  std::string buffer_;
};

/// Errors: io (damaged).
[[nodiscard]] Result<std::shared_ptr<const std::string>> unpack(const Packed& packed);

}  // namespace atelier::journal
