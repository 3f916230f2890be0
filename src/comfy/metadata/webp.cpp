// SPDX-License-Identifier: MIT
#include <algorithm>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::size_t kEntryBytes = 12;
constexpr std::uint64_t kAscii = 2;

/// A TIFF block inside `exif`, numbers in its own byte order.
class Tiff {
 public:
  explicit Tiff(std::string& exif)
      : exif_(exif), begin_(exif.starts_with(std::string_view("Exif\0\0", 6)) ? 6 : 0) {
    const std::string_view order = std::string_view(exif_).substr(begin_, 2);
    big_ = order == "MM";
    known_ = (big_ || order == "II") && exif_.size() >= begin_ + 8;
  }
  /// True if a text was replaced. Error bad_request.
  Result<bool> edit(const NewText& new_text) {
    if (!known_) return fail(Errc::bad_request, "a WebP whose EXIF block is no TIFF");
    const std::uint64_t first = begin_ + number(begin_ + 4, 4);
    if (first > exif_.size() || exif_.size() - first < 2)
      return fail(Errc::bad_request, "a WebP whose EXIF block ends too early");
    const std::uint64_t count = number(first, 2);
    if (count * kEntryBytes > exif_.size() - first - 2)
      return fail(Errc::bad_request, "a WebP whose EXIF block ends too early");
    bool changed = false;
    for (std::uint64_t i = 0; i < count; ++i)
      changed = edit_entry(static_cast<std::size_t>(first + 2 + i * kEntryBytes), new_text) || changed;
    return changed;
  }

 private:
  [[nodiscard]] std::uint64_t number(std::uint64_t at, std::size_t bytes) const {
    const auto place = static_cast<std::size_t>(at);
    return big_ ? read_big(exif_, place, bytes) : read_little(exif_, place, bytes);
  }
  void put(std::size_t at, std::uint64_t value) {
    exif_.replace(at, 4, big_ ? write_big(value, 4) : write_little(value, 4));
  }

  bool edit_entry(std::size_t entry, const NewText& new_text) {
    const std::uint64_t bytes = number(entry + 4, 4), value = begin_ + number(entry + 8, 4);
    if (number(entry + 2, 2) != kAscii || bytes <= 4 || value > exif_.size() || bytes > exif_.size() - value)
      return false;
    const auto place = static_cast<std::size_t>(value), room = static_cast<std::size_t>(bytes);
    std::string_view stored = std::string_view(exif_).substr(place, room);
    const std::string_view name = stored.substr(0, stored.find(':'));
    if (std::ranges::find(kTextNames, name) == kTextNames.end()) return false;
    std::string whole(name);
    stored = stored.substr(0, stored.find('\0')).substr(std::min(stored.size(), name.size() + 1));
    const std::string text = new_text(whole, stored);
    if (text == stored) return false;
    whole.append(":").append(text) += '\0';
    put(entry + 4, whole.size());
    if (whole.size() <= room) {
      whole.resize(room, '\0');
      exif_.replace(place, room, whole);
      return true;
    }
    exif_.replace(place, room, room, '\0');
    if ((exif_.size() - begin_) % 2 != 0) exif_ += '\0';  // TIFF 6.0: values begin at even offsets
    put(entry + 8, exif_.size() - begin_);
    exif_ += whole;
    return true;
  }

  std::string& exif_;
  std::size_t begin_;
  bool big_ = false, known_ = false;
};

}  // namespace

Result<Edits> webp_edits(const ByteSource& file, const NewText& new_text) {
  ATELIER_TRY(const std::string head, file.read(0, 12));
  const std::uint64_t riff = read_little(head, 4, 4), end = riff + 8;
  if (end > file.size()) return fail(Errc::bad_request, "a WebP that is cut off");
  Edits edits;
  std::uint64_t at = 12, grown = 0;
  for (std::size_t count = 0; at < end && count < kItemsMax; ++count) {
    ATELIER_TRY(const std::string chunk, file.read(at, 8));
    const std::uint64_t size = read_little(chunk, 4, 4), padded = size + size % 2;
    if (padded > end - at - 8) {
      // Some writers leave out the last zero.
      if (size != end - at - 8) return fail(Errc::bad_request, "a WebP with a chunk longer than the file");
      break;
    }
    if (chunk.starts_with("EXIF")) {
      ATELIER_TRY(std::string exif, file.read(at + 8, size));
      ATELIER_TRY(const bool changed, Tiff(exif).edit(new_text));
      if (changed) {
        std::string block = "EXIF" + write_little(exif.size(), 4) + exif;
        if (block.size() % 2 != 0) block += '\0';
        grown += block.size() - 8 - padded;  // never less than before
        edits.push_back({at, padded + 8, std::move(block)});
      }
    }
    at += padded + 8;
  }
  if (riff + grown > 0xFFFF'FFFE) return fail(Errc::unsupported, "a WebP without room for the prompt");
  if (grown != 0) edits.insert(edits.begin(), Edit{4, 4, write_little(riff + grown, 4)});
  return edits;
}

}  // namespace atelier::comfy
