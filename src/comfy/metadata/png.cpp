// SPDX-License-Identifier: MIT
#include <zlib.h>

#include <algorithm>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::uint64_t kFrame = 12;  // length, type, CRC
constexpr std::uint64_t kChunkMax = 0x7FFFFFFF;
constexpr std::string_view kPrompt("prompt\0", 7), kWorkflow("workflow\0", 9);

/// Where in the data of a chunk the text of `key` begins, or nothing.
std::optional<std::size_t> text_begin(std::string_view type, std::string_view data, std::string_view key) {
  if (!data.starts_with(key)) return std::nullopt;
  if (type != "iTXt") return key.size();
  // Compression flag and method, language, translated keyword (PNG 1.2, 4.2.3.3).
  std::size_t at = key.size() + 2;
  if (data.size() < at || data[key.size()] != '\0') return std::nullopt;
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

Result<Edits> png_edits(const ByteSource& file, const NewText& new_text,
                        const std::optional<std::string>& workflow) {
  Edits edits;
  bool has_texts = false, has_workflow = false;
  std::optional<std::uint64_t> pixels;
  std::uint64_t at = 8;
  for (std::size_t count = 0; count < kItemsMax; ++count) {
    ATELIER_TRY(const std::string head, file.read(at, 8));
    const std::uint64_t length = read_big(head, 0, 4);
    const std::string_view type = std::string_view(head).substr(4);
    if (length > kChunkMax || length + kFrame > file.size() - at)
      return fail(Errc::bad_request, "a PNG with a chunk longer than the file");
    if ((count == 0) != (type == "IHDR"))
      return fail(Errc::bad_request, "a PNG that does not begin with its one IHDR");
    if (type == "IDAT" && !pixels) pixels = at;
    if (type == "IEND") {
      if (has_texts && workflow && !workflow->empty() && !has_workflow) {
        const Edit added{pixels.value_or(at), 0, chunk("tEXt", std::string(kWorkflow) + *workflow)};
        edits.insert(std::ranges::upper_bound(edits, added.offset, {}, &Edit::offset), added);
      }
      return edits;
    }
    if ((type == "tEXt" || type == "iTXt" || type == "comf") && length <= kBlockBytesMax) {
      ATELIER_TRY(const std::string data, file.read(at + 8, length));
      if (const auto begin = text_begin(type, data, kPrompt)) {
        has_texts = true;
        const std::string_view stored = std::string_view(data).substr(*begin);
        const std::string text = new_text(stored);
        if (text.size() > kBlockBytesMax) return fail(Errc::too_large, "a prompt too large for a PNG");
        if (text != stored)
          edits.push_back({at, length + kFrame, chunk(type, data.substr(0, *begin) + text)});
      } else if (const auto own = text_begin(type, data, kWorkflow); own && workflow) {
        has_texts = true;
        const bool right = !has_workflow && std::string_view(data).substr(*own) == *workflow;
        has_workflow = has_workflow || right;
        if (!right) edits.push_back({at, length + kFrame, ""});
      }
    }
    at += length + kFrame;
  }
  return fail(Errc::unsupported, "a PNG of more than a million chunks");
}

}  // namespace atelier::comfy
