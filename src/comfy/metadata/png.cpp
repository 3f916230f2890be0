// SPDX-License-Identifier: MIT
#include <zlib.h>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::uint64_t kFrame = 12;  // length, type, CRC
constexpr std::uint64_t kChunkMax = 0x7FFFFFFF;

/// Where in the data of a chunk its text begins, if it has this name.
std::optional<std::size_t> text_begin(std::string_view type, std::string_view data, std::string_view name) {
  if (!data.starts_with(name) || data.size() == name.size() || data[name.size()] != '\0') return std::nullopt;
  const std::size_t key = name.size() + 1;
  if (type != "iTXt") return key;
  // Compression flag and method, language, translated keyword (PNG 1.2, 4.2.3.3).
  std::size_t at = key + 2;
  if (data.size() < at || data[key] != '\0') return std::nullopt;
  for (int skipped = 0; skipped < 2; ++skipped) {
    at = data.find('\0', at);
    if (at == std::string_view::npos) return std::nullopt;
    ++at;
  }
  return at;
}

std::string chunk(std::string_view type, std::string_view data) {
  std::string out = write_big(data.size(), 4);
  out.append(type).append(data);
  const auto crc = ::crc32_z(0, reinterpret_cast<const Bytef*>(out.data() + 4), out.size() - 4);
  return out + write_big(crc, 4);
}

}  // namespace

Result<Edits> png_edits(const ByteSource& file, const NewText& new_text) {
  Edits edits;
  std::uint64_t at = 8;
  for (std::size_t count = 0; count < kItemsMax; ++count) {
    ATELIER_TRY(const std::string head, file.read(at, 8));
    const std::uint64_t length = read_big(head, 0, 4);
    const std::string_view type = std::string_view(head).substr(4);
    if (length > kChunkMax || length + kFrame > file.size() - at)
      return fail(Errc::bad_request, "a PNG with a chunk longer than the file");
    if ((count == 0) != (type == "IHDR"))
      return fail(Errc::bad_request, "a PNG that does not begin with its one IHDR");
    if (type == "IEND") return edits;
    if ((type == "tEXt" || type == "iTXt" || type == "comf") && length <= kBlockBytesMax) {
      ATELIER_TRY(const std::string data, file.read(at + 8, length));
      for (const std::string_view name : kTextNames) {
        const auto begin = text_begin(type, data, name);
        if (!begin) continue;
        const std::string_view stored = std::string_view(data).substr(*begin);
        const std::string text = new_text(name, stored);
        if (text.size() > kBlockBytesMax) return fail(Errc::too_large, "a text too large for a PNG");
        if (text != stored)
          edits.push_back({at, length + kFrame, chunk(type, data.substr(0, *begin) + text)});
      }
    }
    at += length + kFrame;
  }
  return fail(Errc::unsupported, "a PNG of more than a million chunks");
}

}  // namespace atelier::comfy
