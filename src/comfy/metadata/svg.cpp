// SPDX-License-Identifier: MIT
// SVG: ComfyUI puts json.dumps({"prompt": ..., ...}, indent=2) into a CDATA section (nodes_images.py,
// SaveSVGNode).
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
    if (const auto stored = json_member(all.substr(json, end - json), "prompt")) {
      std::string fresh = indent_json(new_text(join_json(*stored)), 1);
      if (fresh != *stored) {
        edits.push_back(
            {static_cast<std::uint64_t>(stored->data() - all.data()), stored->size(), std::move(fresh)});
      }
    }
    at = end;
  }
  return edits;
}

}  // namespace atelier::comfy
