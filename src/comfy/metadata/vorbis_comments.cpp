// SPDX-License-Identifier: MIT
// Vorbis comments (Vorbis I, 5.2.1): vendor, count, comments "NAME=text", each with a length of 4 bytes
// before it, little-endian.
#include <algorithm>

#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {
namespace {

bool is_called(std::string_view comment, std::string_view name) {
  return comment.size() > name.size() && comment[name.size()] == '=' &&
         std::ranges::equal(comment.substr(0, name.size()), name, {},
                            [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
}

}  // namespace

Result<std::optional<VorbisComments>> edit_vorbis_comments(std::string_view block, const NewText& new_text) {
  VorbisComments out;
  std::size_t at = 0;
  bool changed = false, fits = true;
  const auto take = [&](std::uint64_t bytes) {
    fits = fits && bytes <= block.size() - at;
    const std::string_view text =
        fits ? block.substr(at, static_cast<std::size_t>(bytes)) : std::string_view();
    at += text.size();
    return text;
  };
  const auto take_number = [&] {
    const std::string_view text = take(4);
    return fits ? read_little(text, 0, 4) : 0;
  };
  take(take_number());
  const std::uint64_t count = take_number();
  out.block = block.substr(0, at);
  for (std::uint64_t i = 0; fits && i < count; ++i) {
    const std::string_view comment = take(take_number());
    if (!fits) break;
    std::string edited(comment);
    for (const std::string_view name : kTextNames) {
      if (!is_called(comment, name)) continue;
      const std::string_view stored = comment.substr(name.size() + 1);
      const std::string text = new_text(name, stored);
      changed = changed || text != stored;
      edited.replace(name.size() + 1, std::string::npos, text);
    }
    out.block += write_little(edited.size(), 4) + edited;
  }
  if (!fits) return fail(Errc::bad_request, "Vorbis comments that end too early");
  if (!changed) return std::nullopt;
  out.end = out.block.size();
  out.block += block.substr(at);
  return out;
}

}  // namespace atelier::comfy
