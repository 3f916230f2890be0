// SPDX-License-Identifier: MIT
#pragma once
// The header of a .safetensors file: JSON with a length before it, and the weights behind it.
// Outside source: the format's README, "Format" (length: 8 bytes little-endian, at most 100 MB).

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "files/file_descriptor.hpp"

namespace atelier::files {

inline constexpr std::uint64_t kSafetensorsHeaderBytesMax = 100'000'000;

/// The header's text, not parsed. Errors: unsupported (no file of this kind: too short, a header that is
/// empty, above 100 MB, longer than the file or does not begin with '{'), too_large (above `bytes_max`), io.
/// Blocks; reads no more than the header.
[[nodiscard]] Result<std::string> read_safetensors_header(const File& file, std::uint64_t bytes_max);

}  // namespace atelier::files
