// SPDX-License-Identifier: MIT
#include "comfy/metadata/restore.hpp"

#include <algorithm>
#include <map>

#include "comfy/json.hpp"
#include "comfy/metadata/json_members.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {
namespace {

constexpr std::string_view kChanged = "is_changed";
constexpr std::size_t kTextsMax = 16;          // in one file: ComfyUI writes two
constexpr std::size_t kDepthMax = 128;         // of a workflow, as of an accepted form
constexpr std::uint64_t kSvgHeadBytes = 4096;  // in which `<svg` must begin

/// A node as three prompts have it.
struct Node {
  std::string_view own, posted, stored;
};

/// The value of is_changed that the participant's node lacks, or nothing.
std::optional<std::string_view> missing_change(const Node& node) {
  const auto change = json_member(node.stored, kChanged);
  if (!change || json_member(node.own, kChanged)) return std::nullopt;
  for (const std::string_view name : {"class_type", "inputs"})
    if (json_member(node.posted, name) != json_member(node.stored, name)) return std::nullopt;
  return change;
}

bool looks_like_svg(std::string_view head) {
  const std::size_t first = head.find_first_not_of(" \t\r\n", head.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  return first != std::string_view::npos && head[first] == '<' && head.find("<svg") != std::string_view::npos;
}

Result<Edits> edits_of(const ByteSource& file, const NewText& new_text) {
  ATELIER_TRY(const std::string head, file.read(0, std::min(file.size(), kSvgHeadBytes)));
  const auto holds = [&](std::size_t at, std::string_view magic) {
    return head.size() >= at + magic.size() && std::string_view(head).substr(at).starts_with(magic);
  };
  if (holds(0, "\x89PNG\r\n\x1a\n")) return png_edits(file, new_text);
  if (holds(0, "RIFF") && holds(8, "WEBP")) return webp_edits(file, new_text);
  if (holds(4, "ftyp")) return mp4_edits(file, new_text);
  if (holds(0, "\x1A\x45\xDF\xA3")) return matroska_edits(file, new_text);
  if (holds(0, "fLaC")) return flac_edits(file, new_text);
  if (holds(0, "ID3")) return id3_edits(file, new_text);
  if (holds(0, "OggS")) return opus_edits(file, new_text);
  if (holds(0, "\x76\x2F\x31\x01")) return exr_edits(file, new_text);
  if (holds(0, "glTF")) return glb_edits(file, new_text);
  if (holds(8, "{\"") && read_little(head, 0, 8) <= kBlockBytesMax) return safetensors_edits(file, new_text);
  if (looks_like_svg(head)) return svg_edits(file, new_text);
  return Edits();
}

}  // namespace

std::string own_prompt_text(const PromptTexts& prompts, std::string_view stored) {
  std::map<std::string_view, Node> nodes;
  const auto add = [&](std::string_view prompt, std::string_view Node::* text) {
    each_json_member(prompt, [&](const JsonMember& member) {
      if (const auto node = nodes.find(member.key); node != nodes.end()) node->second.*text = member.value;
    });
  };
  each_json_member(prompts.own, [&](const JsonMember& member) { nodes[member.key].own = member.value; });
  add(prompts.posted, &Node::posted);
  add(stored, &Node::stored);
  std::string out;
  std::size_t copied = 0;
  each_json_member(prompts.own, [&](const JsonMember& member) {
    const auto change = missing_change(nodes[member.key]);
    if (!change) return;
    const auto end =
        static_cast<std::size_t>(member.value.data() - prompts.own.data()) + member.value.size() - 1;
    out.append(prompts.own, copied, end - copied);
    out.append(", \"").append(kChanged).append("\": ").append(*change);
    copied = end;
  });
  return out.append(prompts.own, copied);
}

std::string own_text(const PromptTexts& texts, std::string_view name, std::string_view stored) {
  if (name == "prompt") return own_prompt_text(texts, stored);
  std::string own = texts.workflow.empty() ? "{}" : texts.workflow;
  if (own == stored) return own;
  // The same workflow, but for how a number is printed.
  const auto parsed = Json::parse(stored, {.bytes_max = kBlockBytesMax, .depth_max = kDepthMax});
  return parsed && python_json_dumps(parsed->value()) == own ? std::string(stored) : own;
}

Result<Edits> prompt_edits(const ByteSource& file, const NewText& new_text) {
  std::size_t texts = 0;
  ATELIER_TRY(Edits edits, edits_of(file, [&](std::string_view name, std::string_view stored) {
                return ++texts > kTextsMax ? std::string(stored) : new_text(name, stored);
              }));
  if (texts > kTextsMax) return fail(Errc::unsupported, "a file with more than 16 prompts and workflows");
  return edits;
}

}  // namespace atelier::comfy
