// SPDX-License-Identifier: MIT
// SVG: ComfyUI puts json.dumps({"prompt": ..., ...}, indent=2) into a CDATA section (nodes_images.py,
// SaveSVGNode).
#include <algorithm>

#include "comfy/metadata/containers.hpp"
#include "comfy/metadata/json_members.hpp"

namespace atelier::comfy {

Result<Edits> svg_edits(const ByteSource& file, const NewText& new_text) {
  constexpr std::string_view kElement = "<metadata>", kBegin = "<![CDATA[", kEnd = "]]>";
  constexpr auto kNone = std::string_view::npos;
  ATELIER_TRY(const std::string text, file.read(0, file.size()));
  const std::string_view all = text;
  Edits edits;
  for (std::size_t at = all.find(kElement); at != kNone; at = all.find(kElement, at)) {
    at += kElement.size();
    const std::size_t begin = all.find_first_not_of(" \t\r\n", at);
    if (begin == kNone || !all.substr(begin).starts_with(kBegin)) continue;
    const std::size_t json = begin + kBegin.size();
    const std::size_t end = all.find(kEnd, json);
    if (end == kNone) return fail(Errc::bad_request, "an SVG that ends inside its metadata");
    each_json_member(all.substr(json, end - json), [&](const JsonMember& member) {
      if (std::ranges::find(kTextNames, member.key) == kTextNames.end()) return;
      std::string fresh = indent_json(new_text(member.key, join_json(member.value)), 1);
      if (fresh == member.value) return;
      const auto place = static_cast<std::uint64_t>(member.value.data() - all.data());
      edits.push_back({place, member.value.size(), std::move(fresh)});
    });
    at = end;
  }
  return edits;
}

}  // namespace atelier::comfy
