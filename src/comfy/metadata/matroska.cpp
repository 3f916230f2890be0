// SPDX-License-Identifier: MIT
// Matroska and WebM (RFC 8794, RFC 9559), tags as ffmpeg writes them: TagName in capitals, TagString.
#include <zlib.h>

#include <algorithm>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

constexpr std::uint64_t kSegment = 0x18538067, kTags = 0x1254C367, kTag = 0x7373, kSimpleTag = 0x67C8,
                        kTagName = 0x45A3, kTagString = 0x4487, kCrc = 0xBF;
constexpr std::string_view kVoid = "\xEC";
constexpr std::size_t kHeadMax = 12;  // an id of 4 bytes, a size of 8
constexpr std::string_view kComment = "comment";

struct Element {
  std::uint64_t id = 0;
  std::uint64_t size = 0;  // of the body
  std::size_t id_bytes = 0, size_bytes = 0;
  bool unknown_size = false;
  [[nodiscard]] std::size_t head() const { return id_bytes + size_bytes; }
};

/// The bytes of a number whose first byte is `first`: 1-8, or 9 for none.
std::size_t number_bytes(char first) {
  std::size_t bytes = 1;
  for (unsigned bit = 0x80; bit != 0 && (static_cast<unsigned char>(first) & bit) == 0; bit >>= 1) ++bytes;
  return bytes;
}

/// The head of an element at the beginning of `text`, or nothing.
std::optional<Element> head_of(std::string_view text) {
  Element element;
  if (text.empty()) return std::nullopt;
  element.id_bytes = number_bytes(text[0]);
  if (element.id_bytes > 4 || text.size() <= element.id_bytes) return std::nullopt;
  element.id = read_big(text, 0, element.id_bytes);
  element.size_bytes = number_bytes(text[element.id_bytes]);
  if (element.size_bytes > 8 || text.size() < element.head()) return std::nullopt;
  const std::uint64_t mask = (std::uint64_t{1} << 7 * element.size_bytes) - 1;
  element.size = read_big(text, element.id_bytes, element.size_bytes) & mask;
  element.unknown_size = element.size == mask;
  return element;
}

/// A size of at least `bytes` bytes.
std::string size_text(std::uint64_t size, std::size_t bytes) {
  while (bytes < 8 && size >= (std::uint64_t{1} << 7 * bytes) - 1) ++bytes;
  return write_big(size | std::uint64_t{1} << 7 * bytes, bytes);
}

Error broken() { return {Errc::bad_request, "a Matroska file with broken tags"}; }

/// An element inside of a body in memory.
struct Child : Element {
  std::string_view id_text, body;
};
Result<std::vector<Child>> children_of(std::string_view body) {
  std::vector<Child> children;
  while (!body.empty()) {
    const auto head = head_of(body);
    if (!head || head->unknown_size || head->size > body.size() - head->head())
      return std::unexpected(broken());
    const auto size = static_cast<std::size_t>(head->size);
    children.push_back({*head, body.substr(0, head->id_bytes), body.substr(head->head(), size)});
    body.remove_prefix(head->head() + size);
  }
  return children;
}

bool is_called(std::string_view body, std::string_view name) {
  body = body.substr(0, body.find('\0'));
  return std::ranges::equal(body, name, {}, [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
}

/// The body with the text in it, or nothing if nothing changes in it.
Result<std::optional<std::string>> edit_body(std::uint64_t id, std::string_view body,
                                             const NewText& new_text) {
  ATELIER_TRY(const std::vector<Child> children, children_of(body));
  const std::uint64_t inner = id == kTags ? kTag : id == kTag ? kSimpleTag : kTagString;
  std::string_view name;  // of what a SimpleTag holds
  if (inner == kTagString) {
    for (const std::string_view known : {kTextNames[0], kTextNames[1], kComment}) {
      if (std::ranges::any_of(children, [&](const Child& child) {
            return child.id == kTagName && is_called(child.body, known);
          }))
        name = known;
    }
    if (name.empty()) return std::nullopt;
  }
  std::string out;
  bool changed = false;
  std::optional<std::size_t> crc;
  for (const Child& child : children) {
    std::optional<std::string> edited;
    if (child.id == inner && inner == kTagString) {
      const std::string_view stored = child.body.substr(0, child.body.find('\0'));
      std::string text = name == kComment ? edit_comment(stored, new_text) : new_text(name, stored);
      if (text != stored) edited = std::move(text);
    } else if (child.id == inner) {
      ATELIER_TRY(edited, edit_body(inner, child.body, new_text));
    }
    out += child.id_text;
    const std::string_view now = edited ? std::string_view(*edited) : child.body;
    out += size_text(now.size(), child.size_bytes);
    if (child.id == kCrc && child.size == 4) crc = out.size();
    out += now;
    changed = changed || edited;
  }
  if (!changed) return std::nullopt;
  if (crc) {  // of all that follows it in the parent, little-endian
    const std::string_view covered = std::string_view(out).substr(*crc + 4);
    const auto sum = ::crc32_z(0, reinterpret_cast<const Bytef*>(covered.data()), covered.size());
    out.replace(*crc, 4, write_little(sum, 4));
  }
  return out;
}

/// Bytes for a Void of `bytes` (not 1) in all.
std::string void_of(std::uint64_t bytes) {
  if (bytes == 0) return {};
  const std::size_t size_bytes = bytes < 9 ? 1 : 8;
  std::string out(kVoid);
  out += size_text(bytes - 1 - size_bytes, size_bytes);
  out.resize(static_cast<std::size_t>(bytes), '\0');
  return out;
}

/// A Tags element of exactly `bytes` bytes, or with a Void behind it.
Result<std::string> fitted(std::string_view id, const Element& old, const std::string& body) {
  const std::uint64_t bytes = old.head() + old.size;
  std::size_t size_bytes = old.size_bytes;
  std::string out = std::string(id) + size_text(body.size(), size_bytes) + body;
  if (out.size() + 1 == bytes && size_bytes < 8)  // no Void is so small
    out = std::string(id) + size_text(body.size(), ++size_bytes) + body;
  if (out.size() > bytes || out.size() + 1 == bytes)
    return fail(Errc::unsupported, "a Matroska file without room for the prompt");
  return out + void_of(bytes - out.size());
}

Result<Element> head_at(const ByteSource& file, std::uint64_t at, std::uint64_t end) {
  ATELIER_TRY(const std::string text, file.read(at, std::min<std::uint64_t>(kHeadMax, end - at)));
  const auto head = head_of(text);
  if (!head) return fail(Errc::bad_request, "a Matroska file that ends inside an element, or is none");
  return *head;
}

}  // namespace

Result<Edits> matroska_edits(const ByteSource& file, const NewText& new_text) {
  Edits edits;
  std::uint64_t at = 0, end = file.size();
  for (std::size_t count = 0; at < end; ++count) {
    if (count > kItemsMax) return fail(Errc::unsupported, "a Matroska file of more than a million elements");
    ATELIER_TRY(const Element element, head_at(file, at, end));
    const std::uint64_t body = at + element.head();
    if (element.id == kSegment) {  // its children are walked through like its neighbours
      if (!element.unknown_size && element.size > end - body)
        return fail(Errc::bad_request, "a Matroska file that is cut off");
      if (!element.unknown_size) end = body + element.size;
      at = body;
      continue;
    }
    if (element.unknown_size) return edits;  // a live cluster: tags stood before it
    if (element.size > end - body)
      return fail(Errc::bad_request, "a Matroska file with an element longer than the file");
    if (element.id == kTags) {
      ATELIER_TRY(const std::string text, file.read(at, element.head() + element.size));
      ATELIER_TRY(const auto edited,
                  edit_body(kTags, std::string_view(text).substr(element.head()), new_text));
      if (edited) {
        ATELIER_TRY(std::string whole, fitted(text.substr(0, element.id_bytes), element, *edited));
        edits.push_back({at, text.size(), std::move(whole)});
      }
    }
    at = body + element.size;
  }
  return edits;
}

}  // namespace atelier::comfy
