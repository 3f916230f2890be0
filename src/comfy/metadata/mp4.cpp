// SPDX-License-Identifier: MIT
// ISO base media files (ISO/IEC 14496-12) with metadata as ffmpeg writes it under `use_metadata_tags`: names
// in `keys`, values in `ilst` (QuickTime File Format, "Metadata").
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::uint64_t kFreeHead = 8;
constexpr std::uint64_t kKeysBytesMax = 1u << 20;
constexpr std::uint64_t kUtf8 = 1;
constexpr std::string_view kCommentItem =
    "\xA9"
    "cmt";
constexpr std::string_view kComment = "comment";

struct Box {
  std::uint64_t at = 0, head = 0, size = 0;
  std::string type;
  bool to_end = false;  // its size field says 0
  [[nodiscard]] std::uint64_t body() const { return at + head; }
  [[nodiscard]] std::uint64_t end() const { return at + size; }
};

class Mp4 {
 public:
  Mp4(const ByteSource& file, const NewText& new_text) : file_(file), new_text_(new_text) {}

  Result<Edits> edits() {
    std::optional<Box> moov;
    std::int64_t growth = 0;
    bool last = false;
    for (std::uint64_t at = 0; at < file_.size();) {
      ATELIER_TRY(Box box, box_at(at, file_.size()));
      at = box.end();
      last = box.type == "moov";
      if (!last) continue;
      if (moov) return fail(Errc::bad_request, "an MP4 with two moov boxes");
      ATELIER_TRY(growth, inside(box, {"udta", "meta"}));
      moov = std::move(box);
    }
    if (growth != 0 && !last) {
      // Sample tables and fragments tell offsets from the beginning of the file.
      if (growth > -static_cast<std::int64_t>(kFreeHead))
        return fail(Errc::unsupported, "an MP4 without room for the prompt");
      const auto left = static_cast<std::uint64_t>(-growth);
      edits_.push_back({moov->end(), 0, write_big(left, 4) + "free" + std::string(left - kFreeHead, '\0')});
    }
    std::ranges::sort(edits_, {}, &Edit::offset);
    return std::move(edits_);
  }

 private:
  Result<Box> box_at(std::uint64_t at, std::uint64_t end) {
    if (++boxes_ > kItemsMax) return fail(Errc::unsupported, "an MP4 of more than a million boxes");
    if (end - at < 8) return fail(Errc::bad_request, "an MP4 that ends inside a box");
    ATELIER_TRY(const std::string head, file_.read(at, 8));
    Box box{at, 8, read_big(head, 0, 4), head.substr(4)};
    if (box.size == 0) {
      box.size = end - at;
      box.to_end = true;
    } else if (box.size == 1) {
      ATELIER_TRY(const std::string wide, file_.read(at + 8, 8));
      box.size = read_big(wide, 0, 8);
      box.head = 16;
    }
    if (box.size < box.head || box.size > end - at)
      return fail(Errc::bad_request,
                  fmt::format("an MP4 with a box of {} bytes where {} are", box.size, end - at));
    return box;
  }

  /// How much longer the children of these types become, and with them `parent`, whose size is put right.
  Result<std::int64_t> inside(const Box& parent, const std::set<std::string>& types) {
    std::int64_t growth = 0;
    for (std::uint64_t at = parent.body(); parent.end() - at >= 8;) {  // udta may end with a zero word
      ATELIER_TRY(const Box box, box_at(at, parent.end()));
      at = box.end();
      if (!types.contains(box.type)) continue;
      ATELIER_TRY(const std::int64_t more, box.type == "meta" ? meta(box) : inside(box, {"meta"}));
      growth += more;
    }
    ATELIER_TRY_VOID(resize(parent, growth));
    return growth;
  }

  Result<std::int64_t> meta(const Box& parent) {
    std::uint64_t at = parent.body();
    if (parent.end() - at < 8) return 0;
    ATELIER_TRY(const std::string first, file_.read(at, 8));
    if (first.substr(4) != "hdlr") at += 4;  // a version stands before it, but not in QuickTime files
    std::map<std::uint64_t, std::string> names{{read_big(kCommentItem, 0, 4), std::string(kComment)}};
    std::int64_t growth = 0;
    while (parent.end() - at >= 8) {
      ATELIER_TRY(const Box box, box_at(at, parent.end()));
      at = box.end();
      if (box.type == "keys") {
        ATELIER_TRY(names, names_of(box));
      } else if (box.type == "ilst") {
        ATELIER_TRY(const std::int64_t more, items(box, names));
        growth += more;
      }
    }
    ATELIER_TRY_VOID(resize(parent, growth));
    return growth;
  }

  /// The keys that name one of our texts or a comment, by their numbers (from 1).
  Result<std::map<std::uint64_t, std::string>> names_of(const Box& box) {
    if (box.size > kKeysBytesMax) return fail(Errc::unsupported, "an MP4 with more than 1 MB of keys");
    ATELIER_TRY(const std::string keys, file_.read(box.body(), box.size - box.head));
    std::map<std::uint64_t, std::string> found;
    std::uint64_t number = 0;
    for (std::size_t at = 8; at + 8 <= keys.size();) {
      const std::uint64_t size = read_big(keys, at, 4);
      if (size < 8 || size > keys.size() - at) return fail(Errc::bad_request, "an MP4 with broken keys");
      ++number;
      const std::string_view name = std::string_view(keys).substr(at + 8, size - 8);
      if (name == kComment || std::ranges::find(kTextNames, name) != kTextNames.end()) found[number] = name;
      at += size;
    }
    return found;
  }

  Result<std::int64_t> items(const Box& list, const std::map<std::uint64_t, std::string>& names) {
    std::int64_t growth = 0;
    for (std::uint64_t at = list.body(); list.end() - at >= 8;) {
      ATELIER_TRY(const Box item, box_at(at, list.end()));
      at = item.end();
      const auto name = names.find(read_big(item.type, 0, 4));
      if (name == names.end()) continue;
      std::int64_t in_item = 0;
      for (std::uint64_t value = item.body(); item.end() - value >= 8;) {
        ATELIER_TRY(const Box box, box_at(value, item.end()));
        value = box.end();
        if (box.type != "data") continue;
        ATELIER_TRY(const std::int64_t more, data(box, name->second));
        in_item += more;
      }
      ATELIER_TRY_VOID(resize(item, in_item));
      growth += in_item;
    }
    ATELIER_TRY_VOID(resize(list, growth));
    return growth;
  }

  Result<std::int64_t> data(const Box& box, std::string_view name) {
    if (box.size - box.head < 8) return 0;
    ATELIER_TRY(const std::string body, file_.read(box.body(), box.size - box.head));
    if (read_big(body, 0, 4) != kUtf8) return 0;
    const std::string_view stored = std::string_view(body).substr(8);
    std::string text = name == kComment ? edit_comment(stored, new_text_) : new_text_(name, stored);
    if (text == stored) return 0;
    const auto growth = static_cast<std::int64_t>(text.size()) - static_cast<std::int64_t>(stored.size());
    edits_.push_back({box.body() + 8, stored.size(), std::move(text)});
    ATELIER_TRY_VOID(resize(box, growth));
    return growth;
  }

  Result<void> resize(const Box& box, std::int64_t growth) {
    if (growth == 0 || box.to_end) return {};
    const std::uint64_t size = box.size + static_cast<std::uint64_t>(growth);
    if (box.head != 8 || size > 0xFFFF'FFFF)
      return fail(Errc::unsupported, "an MP4 with more than 4 GB of metadata");
    edits_.push_back({box.at, 4, write_big(size, 4)});
    return {};
  }

  const ByteSource& file_;
  const NewText& new_text_;
  Edits edits_;
  std::size_t boxes_ = 0;
};

}  // namespace

Result<Edits> mp4_edits(const ByteSource& file, const NewText& new_text) {
  return Mp4(file, new_text).edits();
}

}  // namespace atelier::comfy
