// SPDX-License-Identifier: MIT
#include "rehearsal/linked_inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "comfy/object_info.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/python_text.hpp"

namespace atelier::rehearsal {
namespace json = boost::json;
namespace {

using Fits = bool (*)(const Value* value, const json::value* constant);

bool is_image(const Value* value, const json::value*) {
  const auto* tensor = value ? std::get_if<TensorPtr>(value) : nullptr;
  return tensor != nullptr && *tensor && ((*tensor)->channels == 3 || (*tensor)->channels == 4);
}

bool is_mask(const Value* value, const json::value*) {
  const auto* tensor = value ? std::get_if<TensorPtr>(value) : nullptr;
  return tensor != nullptr && *tensor && (*tensor)->channels == 1;
}

bool is_video(const Value* value, const json::value*) {
  const auto* video = value ? std::get_if<VideoPtr>(value) : nullptr;
  return video != nullptr && *video;
}

// JSON's text on its way between nodes; a constant must be an object, as a text that looks like one is none.
bool is_rectangle(const Value* value, const json::value* constant) {
  return value != nullptr && std::holds_alternative<std::string>(*value) &&
         (constant == nullptr || constant->is_object());
}

// No node makes sound, and CreateVideo (comfy_api/latest/_input_impl/video_types.py) asks only whether it is
// true for Python.
bool is_sound(const Value*, const json::value* constant) {
  return constant == nullptr || !comfy::python_truth(*constant);
}

struct Kind {
  std::string_view type;
  Fits fits;
  std::string_view failure, complaint;  // what ComfyUI's nodes mostly end with
};
constexpr std::array<Kind, 5> kKinds{{
    {"IMAGE", is_image, "AttributeError", "has no attribute 'shape'"},
    {"MASK", is_mask, "AttributeError", "has no attribute 'reshape'"},
    {"VIDEO", is_video, "AttributeError", "has no attribute 'get_components'"},
    {"AUDIO", is_sound, "TypeError", "is not subscriptable"},
    {"BOUNDING_BOX", is_rectangle, "AttributeError", "has no attribute 'get'"},
}};

std::string_view name_in_python(const Value* value, const json::value* constant) {
  if (constant != nullptr) return comfy::python_type_name(*constant);
  const bool none = value == nullptr || std::holds_alternative<std::monostate>(*value);
  return none ? "NoneType" : std::holds_alternative<TensorPtr>(*value) ? "Tensor" : "object";
}

}  // namespace

std::optional<Link> as_link(const json::value& value) {
  if (!comfy::is_link(value)) return std::nullopt;
  const json::value& slot = value.get_array()[1];
  std::string node(value.get_array()[0].get_string());
  if (slot.is_bool()) return Link{std::move(node), slot.get_bool() ? 1 : 0};
  boost::system::error_code ignored;
  const auto whole = slot.to_number<std::int64_t>(ignored);  // validation refuses all others
  return Link{std::move(node), ignored ? INT64_MAX : whole};
}

std::optional<NodeFailure> check_linked_inputs(const comfy::NodeClass& declared, const json::object& given,
                                               NodeCall& call) {
  for (const comfy::InputSpec* spec : declared.visible_inputs) {
    const auto kind = std::ranges::find(kKinds, std::string_view(spec->type), &Kind::type);
    if (kind == kKinds.end()) continue;
    const json::value* constant = given.if_contains(spec->name);
    if (constant != nullptr && as_link(*constant)) constant = nullptr;
    const auto found = call.inputs.find(spec->name);
    const Value* value = found == call.inputs.end() ? nullptr : &found->second;
    if (spec->group == comfy::InputGroup::optional) {
      if (value == nullptr) continue;
      if (std::holds_alternative<std::monostate>(*value)) {
        call.inputs.erase(found);
        continue;
      }
    }
    if (kind->fits(value, constant)) continue;
    return NodeFailure{std::string(kind->failure),
                       fmt::format("'{}' object {}", name_in_python(value, constant), kind->complaint)};
  }
  return std::nullopt;
}

}  // namespace atelier::rehearsal
