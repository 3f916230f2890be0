// SPDX-License-Identifier: MIT
// JSON text that holds the texts as strings: in GLB and safetensors before their numbers, and in comments.
#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "comfy/json_printer.hpp"
#include "comfy/metadata/containers.hpp"
#include "comfy/metadata/json_members.hpp"

namespace atelier::comfy {
namespace {

/// `text` with as many spaces behind it as make a multiple of `step` bytes.
std::string padded(std::string text, std::size_t step) {
  text.erase(text.find_last_not_of(' ') + 1);
  text.resize((text.size() + step - 1) / step * step, ' ');
  return text;
}

}  // namespace

std::optional<std::string> edit_json_strings(std::string_view text, std::string_view outer,
                                             std::string_view inner, const NewText& new_text) {
  std::optional<std::string> out;
  for (const std::string_view name : kTextNames) {
    const std::string_view all = out ? std::string_view(*out) : text;
    std::optional<std::string_view> place = all;
    for (const std::string_view step : {outer, inner, name})
      if (place && !step.empty()) place = json_member(*place, step);
    if (!place || !place->starts_with('"')) continue;
    const auto stored = Json::parse(*place, {.bytes_max = kBlockBytesMax});
    if (!stored || !stored->value().is_string()) continue;
    const std::string_view was = stored->value().get_string();
    const std::string fresh = new_text(name, was);
    if (fresh == was) continue;
    const auto begin = static_cast<std::size_t>(place->data() - all.data());
    std::string next(all.substr(0, begin));
    print_json_string(fresh, JsonStyle{.spaces = true, .ascii = true}, next);
    next += all.substr(begin + place->size());
    out = std::move(next);
  }
  return out;
}

std::string edit_comment(std::string_view stored, const NewText& new_text) {
  return edit_json_strings(stored, "", "", new_text).value_or(std::string(stored));
}

// glTF 2.0, 4.4: magic, version, length of the file; then chunks of length, type, content; little-endian.
Result<Edits> glb_edits(const ByteSource& file, const NewText& new_text) {
  constexpr std::uint64_t kVersion = 2;
  constexpr std::size_t kHead = 20;
  ATELIER_TRY(const std::string head, file.read(0, kHead));
  const std::uint64_t whole = read_little(head, 8, 4), size = read_little(head, 12, 4);
  if (read_little(head, 4, 4) != kVersion || std::string_view(head).substr(16) != "JSON") return Edits();
  if (whole > file.size() || size > file.size() - kHead)
    return fail(Errc::bad_request, "a GLB that is cut off");
  ATELIER_TRY(const std::string json, file.read(kHead, size));
  auto edited = edit_json_strings(json, "asset", "extras", new_text);
  if (!edited) return Edits();
  const std::string fresh = padded(std::move(*edited), 4);
  const std::uint64_t length = whole - size + fresh.size();
  if (whole < size || length > 0xFFFF'FFFF)
    return fail(Errc::unsupported, "a GLB without room for the prompt");
  Edits edits;
  edits.push_back({8, 8, write_little(length, 4) + write_little(fresh.size(), 4)});
  edits.push_back({kHead, size, fresh});
  return edits;
}

// The format's README, "Format": the header's length in 8 bytes, little-endian, the header, the tensors,
// whose offsets count from its end.
Result<Edits> safetensors_edits(const ByteSource& file, const NewText& new_text) {
  ATELIER_TRY(const std::string length, file.read(0, 8));
  const std::uint64_t size = read_little(length, 0, 8);
  if (size > file.size() - 8) return Edits();  // then it is something else
  ATELIER_TRY(const std::string json, file.read(8, size));
  auto edited = edit_json_strings(json, "__metadata__", "", new_text);
  if (!edited) return Edits();
  const std::string fresh = padded(std::move(*edited), 8);
  if (fresh.size() > kBlockBytesMax)
    return fail(Errc::unsupported, "a safetensors file without room for the prompt");
  Edits edits;
  edits.push_back({0, size + 8, write_little(fresh.size(), 8) + fresh});
  return edits;
}

}  // namespace atelier::comfy
