// SPDX-License-Identifier: MIT
#include "image/png_text.hpp"

#include <zlib.h>

#include <cstdint>
#include <optional>

namespace atelier::image {
namespace {

constexpr std::size_t kTextBytesMax = 16u << 20;
constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";

std::uint32_t read_u32(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::optional<std::string> inflate_all(std::string_view packed) {
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return std::nullopt;
  std::string out, block(64 << 10, '\0');
  // zlib's input pointer is not const, but it does not write through it.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  int state = Z_OK;
  while (state == Z_OK && out.size() <= kTextBytesMax) {
    stream.next_out = reinterpret_cast<Bytef*>(block.data());
    stream.avail_out = static_cast<uInt>(block.size());
    state = inflate(&stream, Z_NO_FLUSH);
    out.append(block, 0, block.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END || out.size() > kTextBytesMax) return std::nullopt;
  return out;
}

// The part of `rest` before the next NUL, which is taken off together with it.
std::optional<std::string_view> take_until_nul(std::string_view& rest) {
  const auto nul = rest.find('\0');
  if (nul == std::string_view::npos) return std::nullopt;
  const auto part = rest.substr(0, nul);
  rest.remove_prefix(nul + 1);
  return part;
}

std::optional<PngText> read_chunk(std::string_view type, std::string_view data) {
  const auto key = take_until_nul(data);
  if (!key || key->empty()) return std::nullopt;
  if (type == "tEXt") return PngText{from_latin1(*key), from_latin1(data)};
  if (type == "zTXt") {
    if (data.empty() || data[0] != 0) return std::nullopt;
    auto text = inflate_all(data.substr(1));
    if (!text) return std::nullopt;
    return PngText{from_latin1(*key), from_latin1(*text)};
  }
  if (data.size() < 2) return std::nullopt;  // iTXt: compressed?, method, language, translated key, text
  const bool packed = data[0] != 0;
  data.remove_prefix(2);
  if (!take_until_nul(data) || !take_until_nul(data)) return std::nullopt;
  if (!packed) return PngText{from_latin1(*key), std::string(data)};
  auto text = inflate_all(data);
  if (!text) return std::nullopt;
  return PngText{from_latin1(*key), std::move(*text)};
}

}  // namespace

std::vector<PngText> read_png_texts(std::string_view bytes) {
  std::vector<PngText> texts;
  if (!bytes.starts_with(kSignature)) return texts;
  bytes.remove_prefix(kSignature.size());
  while (bytes.size() >= 12) {
    const std::size_t length = read_u32(bytes);
    if (length > bytes.size() - 12) break;
    const auto type = bytes.substr(4, 4), data = bytes.substr(8, length);
    if ((type == "tEXt" || type == "zTXt" || type == "iTXt") && length <= kTextBytesMax) {
      if (auto text = read_chunk(type, data)) texts.push_back(std::move(*text));
    }
    if (type == "IEND") break;
    bytes.remove_prefix(length + 12);
  }
  return texts;
}

bool to_latin1(std::string_view utf8, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<unsigned char>(utf8[i]);
    if (byte < 0x80) {
      out.push_back(utf8[i]);
      continue;
    }
    // Latin-1's upper half is U+0080..U+00FF: two bytes of UTF-8 that begin with C2 or C3.
    if ((byte != 0xC2 && byte != 0xC3) || i + 1 >= utf8.size()) return false;
    const auto next = static_cast<unsigned char>(utf8[++i]);
    if ((next & 0xC0) != 0x80) return false;
    out.push_back(static_cast<char>((byte & 3) << 6 | (next & 0x3F)));
  }
  return true;
}

std::string from_latin1(std::string_view latin1) {
  std::string out;
  for (const char c : latin1) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out.push_back(c);
    } else {
      out.push_back(static_cast<char>(0xC0 | byte >> 6));
      out.push_back(static_cast<char>(0x80 | (byte & 0x3F)));
    }
  }
  return out;
}

}  // namespace atelier::image
