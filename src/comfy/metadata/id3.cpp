// SPDX-License-Identifier: MIT
// ID3v2.3 and 2.4 (id3.org), as ffmpeg writes them: TXXX frames of a name and a text.
#include <algorithm>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::size_t kHead = 10;  // of the tag, and of a frame
constexpr std::uint64_t kSizeMax = (1u << 28) - 1;

std::uint64_t read_size(std::string_view text, std::size_t at, bool seven_bits) {
  const std::uint64_t raw = read_big(text, at, 4);
  if (!seven_bits) return raw;
  return (raw & 0x7F) | (raw >> 8 & 0x7F) << 7 | (raw >> 16 & 0x7F) << 14 | (raw >> 24 & 0x7F) << 21;
}

std::string write_size(std::uint64_t size, bool seven_bits) {
  if (!seven_bits) return write_big(size, 4);
  return write_big(
      (size & 0x7F) | (size >> 7 & 0x7F) << 8 | (size >> 14 & 0x7F) << 16 | (size >> 21 & 0x7F) << 24, 4);
}

/// The body of a TXXX frame with the new text, or nothing.
std::optional<std::string> edit_frame(std::string_view body, const NewText& new_text) {
  // Encodings 0 and 3 end a text with one zero; the others have two bytes to a character.
  if (body.empty() || (body[0] != 0 && body[0] != 3)) return std::nullopt;
  const std::string_view name = body.substr(1, body.find('\0', 1) - 1);
  if (std::ranges::find(kTextNames, name) == kTextNames.end() || body.size() < name.size() + 2)
    return std::nullopt;
  const std::size_t begin = name.size() + 2;
  const std::string_view stored = body.substr(begin, body.find('\0', begin) - begin);
  const std::string text = new_text(name, stored);
  if (text == stored) return std::nullopt;
  return std::string(body.substr(0, begin)).append(text).append(body.substr(begin + stored.size()));
}

}  // namespace

Result<Edits> id3_edits(const ByteSource& file, const NewText& new_text) {
  ATELIER_TRY(const std::string head, file.read(0, kHead));
  const std::uint64_t version = read_big(head, 3, 1), flags = read_big(head, 5, 1);
  const std::uint64_t size = read_size(head, 6, true);
  if (size > file.size() - kHead) return fail(Errc::bad_request, "an ID3 tag longer than its file");
  if ((version != 3 && version != 4) || flags != 0) return Edits();  // not by ffmpeg
  ATELIER_TRY(const std::string tag, file.read(kHead, size));
  const bool seven_bits = version == 4;
  Edits edits;
  std::uint64_t new_size = size;
  for (std::size_t at = 0; at + kHead <= tag.size() && tag[at] != '\0';) {  // then padding
    const std::uint64_t bytes = read_size(tag, at + 4, seven_bits);
    if (bytes > tag.size() - at - kHead)
      return fail(Errc::bad_request, "an ID3 tag with a frame longer than it");
    const std::string_view frame = std::string_view(tag).substr(at, kHead + static_cast<std::size_t>(bytes));
    const bool plain = read_big(frame, 8, 2) == 0;
    const auto edited =
        plain && frame.starts_with("TXXX") ? edit_frame(frame.substr(kHead), new_text) : std::nullopt;
    if (edited) {
      if (edited->size() > kSizeMax) return fail(Errc::unsupported, "an ID3 tag without room for the prompt");
      new_size += edited->size() - bytes;
      edits.push_back({kHead + at, frame.size(),
                       "TXXX" + write_size(edited->size(), seven_bits) + std::string(2, '\0') + *edited});
    }
    at += frame.size();
  }
  if (new_size > kSizeMax) return fail(Errc::unsupported, "an ID3 tag without room for the prompt");
  if (new_size != size) edits.insert(edits.begin(), Edit{6, 4, write_size(new_size, true)});
  return edits;
}

}  // namespace atelier::comfy
