// SPDX-License-Identifier: MIT
#include "files/safetensors.hpp"

#include <fmt/format.h>

#include <array>
#include <span>

namespace atelier::files {

Result<std::string> read_safetensors_header(const File& file, std::uint64_t bytes_max) {
  std::array<std::byte, 8> head{};
  ATELIER_TRY(const std::size_t got, file.read_at(0, head));
  std::uint64_t length = 0;
  for (std::size_t i = head.size(); i-- > 0;) length = length << 8 | std::to_integer<std::uint64_t>(head[i]);
  if (got < head.size() || length < 2 || length > kSafetensorsHeaderBytesMax ||
      length > file.size() - head.size()) {
    return fail(Errc::unsupported, "not a safetensors file");
  }
  if (length > bytes_max)
    return fail(Errc::too_large, fmt::format("the header has {} bytes; the limit is {}", length, bytes_max));
  std::string text(length, '\0');
  ATELIER_TRY(const std::size_t read, file.read_at(head.size(), std::as_writable_bytes(std::span(text))));
  if (read < length || text.front() != '{') return fail(Errc::unsupported, "not a safetensors file");
  return text;
}

}  // namespace atelier::files
