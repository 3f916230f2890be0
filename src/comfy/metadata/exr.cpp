// SPDX-License-Identifier: MIT
// OpenEXR 2 (openexr.com, "OpenEXR File Layout"): a header of attributes for each part, then for each part a
// table of where in the file its chunks begin, then the chunks.
#include <algorithm>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::size_t kNameMax = 255;
constexpr std::uint64_t kTiled = 0x200, kMultipart = 0x1000, kKnownFlags = 0x1E00;
// Lines of a chunk by the number of the compression: none, RLE, ZIPS, ZIP, PIZ, PXR24, B44, B44A, DWAA, DWAB.
constexpr std::array<std::uint64_t, 10> kLines{1, 1, 1, 16, 32, 16, 32, 32, 32, 256};

/// What a part's header says of the number of its chunks.
struct Part {
  std::optional<std::uint64_t> chunks;  // said outright
  std::string compression, window, tiles;
};

std::uint64_t divided(std::uint64_t whole, std::uint64_t by) { return (whole + by - 1) / by; }

/// The extent between two signed coordinates.
std::optional<std::uint64_t> extent(std::string_view box, std::size_t axis) {
  const auto low = static_cast<std::int32_t>(read_little(box, axis * 4, 4));
  const auto high = static_cast<std::int32_t>(read_little(box, axis * 4 + 8, 4));
  if (high < low) return std::nullopt;
  return static_cast<std::uint64_t>(std::int64_t{high} - low + 1);
}

Result<std::uint64_t> chunks_of(const Part& part, bool tiled) {
  if (part.chunks) return *part.chunks;
  if (part.window.size() != 16 || part.compression.size() != 1)
    return fail(Errc::bad_request, "an EXR whose header does not say its size");
  const auto width = extent(part.window, 0), height = extent(part.window, 1);
  if (!width || !height) return fail(Errc::bad_request, "an EXR without an area");
  if (tiled) {
    if (part.tiles.size() != 9) return fail(Errc::bad_request, "an EXR whose tiles have no size");
    const std::uint64_t across = read_little(part.tiles, 0, 4), down = read_little(part.tiles, 4, 4);
    if (across == 0 || down == 0) return fail(Errc::bad_request, "an EXR whose tiles have no size");
    if ((read_little(part.tiles, 8, 1) & 0xF) != 0)
      return fail(Errc::unsupported, "an EXR of several levels");
    const std::uint64_t columns = divided(*width, across), rows = divided(*height, down);
    if (columns > kBlockBytesMax) return fail(Errc::too_large, "an EXR of more tiles than are looked at");
    return columns * rows;
  }
  const auto compression = static_cast<std::size_t>(read_little(part.compression, 0, 1));
  if (compression >= kLines.size()) return fail(Errc::unsupported, "an EXR of an unknown compression");
  return divided(*height, kLines[compression]);
}

class Reader {
 public:
  Reader(const ByteSource& file, const NewText& new_text) : file_(file), new_text_(new_text) {}

  Result<Edits> run() {
    ATELIER_TRY(const std::string head, file_.read(0, 8));
    const std::uint64_t version = read_little(head, 4, 1), flags = read_little(head, 4, 4) - version;
    if (version != 2 || (flags & ~kKnownFlags) != 0)
      return fail(Errc::unsupported, "an EXR of another version");
    at_ = 8;
    Result<std::uint64_t> chunks = 0;  // an error counts only if there is something to move
    for (bool more = true; more;) {
      Part part;
      ATELIER_TRY(const bool any, header(part));
      more = any && (flags & kMultipart) != 0;
      if (!any && (flags & kMultipart) != 0) break;  // an empty header is behind the last part's
      if (chunks) chunks = with_chunks_of(part, flags, *chunks);
    }
    if (grown_ == 0) return std::move(edits_);
    ATELIER_TRY(const std::uint64_t count, std::move(chunks));
    ATELIER_TRY_VOID(move_chunks(count));
    return std::move(edits_);
  }

 private:
  static Result<std::uint64_t> with_chunks_of(const Part& part, std::uint64_t flags, std::uint64_t before) {
    if ((flags & kMultipart) != 0 && !part.chunks)
      return fail(Errc::bad_request, "an EXR of parts without their number of chunks");
    ATELIER_TRY(const std::uint64_t count, chunks_of(part, (flags & kTiled) != 0));
    if (count > kBlockBytesMax / 8 || before + count > kBlockBytesMax / 8)
      return fail(Errc::too_large, "an EXR of more chunks than are looked at");
    return before + count;
  }

  /// False if it has no attribute.
  Result<bool> header(Part& part) {
    bool any = false;
    for (;; any = true) {
      ATELIER_TRY(const std::string name, next_name());
      if (name.empty()) return any;
      if (++attributes_ > kItemsMax)
        return fail(Errc::unsupported, "an EXR of more than a million attributes");
      ATELIER_TRY(const std::string type, next_name());
      ATELIER_TRY(const std::string length, file_.read(at_, 4));
      const std::uint64_t bytes = read_little(length, 0, 4);
      if (bytes > file_.size() - at_ - 4)
        return fail(Errc::bad_request, "an EXR with an attribute longer than the file");
      ATELIER_TRY_VOID(attribute(name, type, bytes, part));
      at_ += 4 + bytes;
    }
  }

  Result<std::string> next_name() {
    ATELIER_TRY(std::string text, file_.read(at_, std::min<std::uint64_t>(kNameMax + 1, file_.size() - at_)));
    const std::size_t end = text.find('\0');
    if (end == std::string::npos) return fail(Errc::bad_request, "an EXR whose header does not end");
    at_ += end + 1;
    text.resize(end);
    return text;
  }

  /// Its length stands at `at_`.
  Result<void> attribute(std::string_view name, std::string_view type, std::uint64_t bytes, Part& part) {
    const bool small = bytes <= 16;
    if (type == "string" && std::ranges::find(kTextNames, name) != kTextNames.end()) {
      ATELIER_TRY(const std::string stored, file_.read(at_ + 4, bytes));
      const std::string text = new_text_(name, stored);
      if (text.size() > kBlockBytesMax) return fail(Errc::too_large, "a text too large for an EXR");
      if (text == stored) return {};
      grown_ += text.size() - stored.size();  // modulo 2^64, as what it is added to
      edits_.push_back({at_, 4 + bytes, write_little(text.size(), 4) + text});
    } else if (small && name == "chunkCount" && type == "int" && bytes == 4) {
      ATELIER_TRY(const std::string value, file_.read(at_ + 4, bytes));
      part.chunks = read_little(value, 0, 4);
    } else if (small && name == "compression") {
      ATELIER_TRY(part.compression, file_.read(at_ + 4, bytes));
    } else if (small && name == "dataWindow") {
      ATELIER_TRY(part.window, file_.read(at_ + 4, bytes));
    } else if (small && name == "tiles") {
      ATELIER_TRY(part.tiles, file_.read(at_ + 4, bytes));
    }
    return {};
  }

  /// The tables say where chunks begin from the file's first byte; 0 is a chunk that was not written.
  Result<void> move_chunks(std::uint64_t chunks) {
    ATELIER_TRY(const std::string table, file_.read(at_, chunks * 8));
    const std::uint64_t first = at_ + table.size();
    std::string moved;
    moved.reserve(table.size());
    for (std::size_t i = 0; i < table.size(); i += 8) {
      const std::uint64_t begin = read_little(table, i, 8);
      if (begin != 0 && (begin < first || begin >= file_.size()))
        return fail(Errc::bad_request, "an EXR with a chunk outside of it");
      moved += write_little(begin == 0 ? 0 : begin + grown_, 8);
    }
    if (!table.empty()) edits_.push_back({at_, table.size(), std::move(moved)});
    return {};
  }

  const ByteSource& file_;
  const NewText& new_text_;
  Edits edits_;
  std::uint64_t at_ = 0, grown_ = 0;
  std::size_t attributes_ = 0;
};

}  // namespace

Result<Edits> exr_edits(const ByteSource& file, const NewText& new_text) {
  return Reader(file, new_text).run();
}

}  // namespace atelier::comfy
