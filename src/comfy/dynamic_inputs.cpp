// SPDX-License-Identifier: MIT
// ComfyUI 0.21.0, comfy_api/latest/_io.py: how Autogrow, DynamicCombo and DynamicSlot become plain inputs
// named "parent.child". Kinds that are newer than that are not checked, but what is linked to them is.
#include "comfy/dynamic_inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "comfy/input_spec.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kNamesMax = 100;  // Autogrow's own bound
constexpr int kNestingMax = 16;

class Expansion {
 public:
  Expansion(const json::object& values, EffectiveInputs::Expanded& out) : values_(values), out_(out) {}

  [[nodiscard]] bool dynamic() const { return dynamic_; }

  void add(const InputSpec& spec, int depth) {
    if (depth > kNestingMax) return;
    if (spec.type == "COMFY_AUTOGROW_V3")
      autogrow(spec);
    else if (spec.type == "COMFY_DYNAMICCOMBO_V3")
      combo(spec, depth);
    else if (spec.type == "COMFY_DYNAMICSLOT_V3")
      slot(spec, depth);
    else if (is_dynamic_type(spec.type))
      unknown(spec);
    else
      out_.all.push_back(&spec);
  }

 private:
  const InputSpec& make(std::string name, InputGroup group, const json::value& config) {
    return out_.made.emplace_back(make_input_spec(std::move(name), group, config));
  }

  /// `groups` is {"required": {name: config}, "optional": {...}}.
  void nested(const std::string& prefix, const json::value& groups, int depth) {
    if (!groups.is_object()) return;
    for (const auto& [name, group] :
         {std::pair{"required", InputGroup::required}, std::pair{"optional", InputGroup::optional}}) {
      const auto* members = groups.get_object().if_contains(name);
      if (members == nullptr || !members->is_object()) continue;
      for (const auto& member : members->get_object()) {
        dynamic_ = true;
        add(make(fmt::format("{}.{}", prefix, std::string_view(member.key().data(), member.key().size())),
                 group, member.value()),
            depth + 1);
      }
    }
  }

  void autogrow(const InputSpec& spec) {
    const auto* holder = spec.options->if_contains("template");
    const auto* form = holder != nullptr ? holder->if_object() : nullptr;
    const auto* input = form != nullptr ? form->if_contains("input") : nullptr;
    if (input == nullptr || !input->is_object()) return;
    const json::value* config = nullptr;
    bool required = true;
    for (const auto& group : input->get_object()) {
      if (!group.value().is_object() || group.value().get_object().empty()) continue;
      config = &group.value().get_object().begin()->value();
      required = group.key() == "required";
      break;
    }
    if (config == nullptr) return;
    dynamic_ = true;
    const std::size_t min = count(*form, "min");
    const auto names = names_of(*form);
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto group = i < min && required ? InputGroup::required : InputGroup::optional;
      out_.all.push_back(&make(fmt::format("{}.{}", spec.name, names[i]), group, *config));
    }
  }

  static std::size_t count(const json::object& form, json::string_view name) {
    const auto* value = form.if_contains(name);
    if (value == nullptr || !value->is_int64() || value->get_int64() < 0) return 0;
    return std::min<std::size_t>(static_cast<std::size_t>(value->get_int64()), kNamesMax);
  }

  static std::vector<std::string> names_of(const json::object& form) {
    std::vector<std::string> names;
    if (const auto* list = form.if_contains("names"); list != nullptr && list->is_array()) {
      for (const auto& name : list->get_array())
        if (name.is_string() && names.size() < kNamesMax) names.emplace_back(text_view(name.get_string()));
    } else if (const auto* prefix = form.if_contains("prefix"); prefix != nullptr && prefix->is_string()) {
      const std::size_t max = count(form, "max");
      for (std::size_t i = 0; i < max; ++i)
        names.push_back(fmt::format("{}{}", text_view(prefix->get_string()), i));
    }
    return names;
  }

  void combo(const InputSpec& spec, int depth) {
    const auto* key = values_.if_contains(spec.name);
    const auto* options = spec.options->if_contains("options");
    if (key == nullptr || options == nullptr || !options->is_array()) return;
    for (const auto& option : options->get_array()) {
      if (!option.is_object()) continue;
      const auto* name = option.get_object().if_contains("key");
      if (name == nullptr || !python_equal(*name, *key)) continue;
      if (const auto* inputs = option.get_object().if_contains("inputs")) nested(spec.name, *inputs, depth);
      dynamic_ = true;
      out_.all.push_back(&spec);
      return;
    }
  }

  void slot(const InputSpec& spec, int depth) {
    if (!values_.contains(spec.name)) return;
    if (const auto* inputs = spec.options->if_contains("inputs")) nested(spec.name, *inputs, depth);
    dynamic_ = true;
    out_.all.push_back(&spec);
  }

  void unknown(const InputSpec& spec) {
    const std::string prefix = spec.name + ".";
    for (const auto& member : values_) {
      const std::string_view name(member.key().data(), member.key().size());
      if (name != spec.name && !name.starts_with(prefix)) continue;
      InputSpec& any =
          out_.made.emplace_back(make_input_spec(std::string(name), InputGroup::optional, *spec.config));
      any.type = "*";
      out_.all.push_back(&any);
    }
  }

  const json::object& values_;
  EffectiveInputs::Expanded& out_;
  bool dynamic_ = false;
};

}  // namespace

bool is_dynamic_type(std::string_view type) {
  return type.starts_with("COMFY_") && type.ends_with("_V3") && type != "COMFY_MATCHTYPE_V3" &&
         type != "COMFY_MULTITYPED_V3";
}

EffectiveInputs effective_inputs(const NodeClass& node_class, const json::object& values) {
  EffectiveInputs inputs;
  inputs.all = node_class.visible_inputs;
  if (!node_class.has_dynamic_inputs) return inputs;
  inputs.expanded = std::make_unique<EffectiveInputs::Expanded>();
  Expansion expansion(values, *inputs.expanded);
  for (const InputSpec* spec : node_class.visible_inputs) expansion.add(*spec, 0);
  inputs.all = inputs.expanded->all;
  inputs.dynamic = expansion.dynamic();
  return inputs;
}

}  // namespace atelier::comfy
