// SPDX-License-Identifier: MIT
#include "comfy/png_metadata.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstdint>

#include "comfy/utf8.hpp"

namespace atelier::comfy {

namespace {

constexpr std::string_view kSignature("\x89PNG\r\n\x1a\n", 8);
constexpr std::size_t kChunkFrame = 12;  // length, type, CRC
constexpr std::uint32_t kChunkMax = 0x7FFFFFFF;
constexpr std::size_t kKeywordMax = 79;

struct Chunk {
  std::string_view type, data, whole;
};

std::uint32_t read_word(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = (value << 8) | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

void write_word(std::uint32_t value, std::string& out) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>((value >> shift) & 0xFF);
}

/// All chunks up to and with IEND; bytes after it are left out, as decoders do.
Result<std::vector<Chunk>> chunks_of(std::string_view file) {
  if (!file.starts_with(kSignature)) return fail(Errc::bad_request, "not a PNG: no signature");
  std::vector<Chunk> chunks;
  std::size_t at = kSignature.size();
  while (true) {
    if (file.size() - at < kChunkFrame) return fail(Errc::bad_request, "a PNG that ends inside a chunk");
    const std::uint32_t length = read_word(file, at);
    if (length > kChunkMax || length > file.size() - at - kChunkFrame)
      return fail(Errc::bad_request, "a PNG with a chunk longer than the file");
    chunks.push_back(
        {file.substr(at + 4, 4), file.substr(at + 8, length), file.substr(at, length + kChunkFrame)});
    at += length + kChunkFrame;
    if (chunks.size() == 1 && chunks.front().type != "IHDR")
      return fail(Errc::bad_request, "a PNG that does not begin with IHDR");
    if (chunks.back().type == "IEND") return chunks;
  }
}

bool is_text(const Chunk& chunk) {
  return chunk.type == "tEXt" || chunk.type == "zTXt" || chunk.type == "iTXt";
}

std::string_view keyword_of(const Chunk& chunk) {
  return chunk.data.substr(0, std::min(chunk.data.find('\0'), chunk.data.size()));
}

/// UTF-8 to Latin-1, if every code point fits.
std::optional<std::string> to_latin1(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = read_utf8(text, at);
    if (point.value > 0xFF) return std::nullopt;
    out += static_cast<char>(static_cast<unsigned char>(point.value));
    at += point.bytes;
  }
  return out;
}

std::string from_latin1(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) write_utf8(static_cast<unsigned char>(c), out);
  return out;
}

void write_chunk(std::string_view type, std::string_view data, std::string& out) {
  write_word(static_cast<std::uint32_t>(data.size()), out);
  const std::size_t begin = out.size();
  out += type;
  out += data;
  const std::string_view checked = std::string_view(out).substr(begin);
  const auto crc = ::crc32_z(0, reinterpret_cast<const Bytef*>(checked.data()), checked.size());
  write_word(static_cast<std::uint32_t>(crc), out);
}

// Pillow, PngInfo.add_text: tEXt if the text is Latin-1, else an uncompressed iTXt without language.
Result<void> write_text(const std::string& keyword, const std::string& text, std::string& out) {
  const auto key = to_latin1(keyword);
  if (!key || key->empty() || key->size() > kKeywordMax || key->find('\0') != std::string::npos)
    return fail(Errc::bad_request, fmt::format("'{}' cannot be a PNG keyword", keyword));
  std::string data = *key + '\0';
  const auto latin = to_latin1(text);
  if (latin) {
    if (latin->find('\0') != std::string::npos) return fail(Errc::bad_request, "a PNG text with a NUL");
    data += *latin;
  } else {
    data += std::string_view("\0\0\0\0", 4);
    data += text;
  }
  if (data.size() > kChunkMax) return fail(Errc::too_large, "a PNG text of more than 2 GB");
  write_chunk(latin ? "tEXt" : "iTXt", data, out);
  return {};
}

}  // namespace

Result<std::string> set_png_texts(std::string_view file, const PngTexts& texts, std::string_view without) {
  ATELIER_TRY(const std::vector<Chunk> chunks, chunks_of(file));
  std::string block;
  for (const auto& [keyword, text] : texts) ATELIER_TRY_VOID(write_text(keyword, text, block));
  const auto replaced = [&](const Chunk& chunk) {
    if (!is_text(chunk)) return false;
    const std::string keyword(keyword_of(chunk));
    return (!without.empty() && to_latin1(without) == keyword) ||
           std::any_of(texts.begin(), texts.end(),
                       [&](const auto& text) { return to_latin1(text.first) == keyword; });
  };
  std::string out;
  out.reserve(file.size() + block.size());
  out += kSignature;
  bool written = false;
  for (const auto& chunk : chunks) {
    if (!written && (chunk.type == "IDAT" || chunk.type == "IEND")) {
      out += block;
      written = true;
    }
    if (!replaced(chunk)) out += chunk.whole;
  }
  return out;
}

Result<std::optional<std::string>> png_text(std::string_view file, std::string_view keyword) {
  ATELIER_TRY(const std::vector<Chunk> chunks, chunks_of(file));
  const auto key = to_latin1(keyword);
  for (const auto& chunk : chunks) {
    if (!is_text(chunk) || !key || keyword_of(chunk) != *key || chunk.data.size() == key->size()) continue;
    std::string_view rest = chunk.data.substr(key->size() + 1);
    if (chunk.type == "tEXt") return from_latin1(rest);
    if (chunk.type != "iTXt" || rest.size() < 2 || rest[0] != '\0')
      continue;  // compressed: not written by us
    rest.remove_prefix(2);
    bool whole = true;
    for (int skipped = 0; skipped < 2 && whole; ++skipped) {  // language, translated keyword
      const std::size_t end = rest.find('\0');
      whole = end != std::string_view::npos;
      if (whole) rest.remove_prefix(end + 1);
    }
    if (whole) return std::string(rest);
  }
  return std::nullopt;
}

}  // namespace atelier::comfy
