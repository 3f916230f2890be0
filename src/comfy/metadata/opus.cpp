// SPDX-License-Identifier: MIT
// Opus in Ogg (RFC 3533, RFC 7845): the second packet is OpusTags; it begins a page and ends one.
#include <array>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::size_t kPageHead = 27;
constexpr std::string_view kTags = "OpusTags";

struct Page {
  std::uint64_t at = 0;
  std::size_t head = 0;  // with the table of segments
  std::string bytes;
  [[nodiscard]] std::string_view body() const { return std::string_view(bytes).substr(head); }
  [[nodiscard]] std::uint64_t serial() const { return read_little(bytes, 14, 4); }
  /// A packet ends with a segment of less than 255 bytes.
  [[nodiscard]] bool ends_packet() const { return head > kPageHead && read_big(bytes, head - 1, 1) < 255; }
};

Result<Page> page_at(const ByteSource& file, std::uint64_t at) {
  ATELIER_TRY(const std::string head, file.read(at, kPageHead));
  if (!head.starts_with("OggS"))
    return fail(Errc::bad_request, "an Ogg file with something between its pages");
  const std::uint64_t segments = read_big(head, 26, 1);
  ATELIER_TRY(const std::string table, file.read(at + kPageHead, segments));
  std::uint64_t size = kPageHead + segments;
  for (std::size_t i = 0; i < table.size(); ++i) size += read_big(table, i, 1);
  ATELIER_TRY(std::string bytes, file.read(at, size));
  return Page{at, kPageHead + table.size(), std::move(bytes)};
}

/// Polynomial 0x04C11DB7, most significant bit first, from zero (RFC 3533, 6).
std::uint32_t page_crc(std::string_view bytes) {
  static const auto kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
      std::uint32_t value = i << 24;
      for (int bit = 0; bit < 8; ++bit) value = value << 1 ^ ((value >> 31) != 0 ? 0x04C11DB7u : 0u);
      table[i] = value;
    }
    return table;
  }();
  std::uint32_t crc = 0;
  for (const char c : bytes) crc = crc << 8 ^ kTable[crc >> 24 ^ static_cast<unsigned char>(c)];
  return crc;
}

}  // namespace

Result<Edits> opus_edits(const ByteSource& file, const NewText& new_text) {
  ATELIER_TRY(const Page first, page_at(file, 0));
  if (!first.body().starts_with("OpusHead")) return Edits();
  std::vector<Page> pages;
  std::string packet;
  std::uint64_t at = first.bytes.size();
  do {
    ATELIER_TRY(Page page, page_at(file, at));
    at += page.bytes.size();
    if (page.serial() != first.serial()) return Edits();  // several streams: not by ffmpeg
    if (packet.size() + page.bytes.size() > kBlockBytesMax || pages.size() > kItemsMax)
      return fail(Errc::too_large, "an Ogg file with too many comments");
    packet += page.body();
    pages.push_back(std::move(page));
  } while (!pages.back().ends_packet());
  if (!packet.starts_with(kTags)) return Edits();
  ATELIER_TRY(const auto edited,
              edit_vorbis_comments(std::string_view(packet).substr(kTags.size()), new_text));
  if (!edited) return Edits();
  // What follows the comments is padding, unless the lowest bit of its first byte is set.
  std::string fresh = std::string(kTags) + edited->block.substr(0, edited->end);
  const std::string_view behind = std::string_view(edited->block).substr(edited->end);
  if (fresh.size() > packet.size() || (!behind.empty() && (behind[0] & 1) != 0))
    return fail(Errc::unsupported, "an Ogg file without room for the prompt");
  fresh.resize(packet.size(), '\0');
  Edits edits;
  std::size_t taken = 0;
  for (Page& page : pages) {
    const std::size_t bytes = page.body().size();
    const std::uint64_t size = page.bytes.size();
    page.bytes.replace(page.head, bytes, fresh, taken, bytes);
    page.bytes.replace(22, 4, 4, '\0');
    page.bytes.replace(22, 4, write_little(page_crc(page.bytes), 4));
    taken += bytes;
    edits.push_back({page.at, size, std::move(page.bytes)});
  }
  return edits;
}

}  // namespace atelier::comfy
