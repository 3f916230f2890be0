// SPDX-License-Identifier: MIT
#include "comfy/variants.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>

#include "base/hash.hpp"
#include "comfy/dynamic_inputs.hpp"
#include "comfy/input_spec.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kHexDigits = 16;

/// Does the list of choices belong to the class, and not to a participant's files or a machine's models?
bool has_own_choices(const InputSpec& spec) {
  return spec.combo && spec.choices != nullptr && !spec.file_list && !spec.remote && !is_model_combo(spec);
}

bool lists(const InputSpec& spec, const json::value& value) {
  return std::ranges::any_of(*spec.choices, [&](const json::value& one) { return python_equal(value, one); });
}

bool fits(const NodeClass& node_class, const json::object* values) {
  for (const InputSpec& spec : node_class.inputs) {
    if (is_dynamic_type(spec.type)) continue;  // its values stand under other names
    const json::value* value = values != nullptr ? values->if_contains(spec.name) : nullptr;
    if (value == nullptr) {
      if (spec.group == InputGroup::required) return false;
      continue;
    }
    if (is_link(*value) || !has_own_choices(spec)) continue;
    const auto* many = spec.multiselect ? value->if_array() : nullptr;
    const bool listed = many != nullptr
                            ? std::ranges::all_of(*many, [&](const json::value& v) { return lists(spec, v); })
                            : lists(spec, *value);
    if (!listed) return false;
  }
  return true;
}

}  // namespace

std::string variant_name(const NodeClass& node_class) {
  Hasher hasher;
  const auto add = [&](std::string_view text) {
    hasher.update(text);
    hasher.update(std::string_view("\0", 1));
  };
  for (const InputSpec& spec : node_class.inputs) {
    if (spec.group == InputGroup::hidden) continue;
    add(spec.name);
    add(spec.group == InputGroup::required ? "required" : "optional");
    add(spec.type);
    if (!has_own_choices(spec)) continue;
    for (const json::value& choice : *spec.choices) add(print_json(choice));
  }
  return node_class.name + '#' + hasher.finish().hex().substr(0, kHexDigits);
}

std::vector<std::string> variant_names(const ObjectInfo& info) {
  std::vector<std::string> names;
  for (const std::string& name : info.class_names()) names.push_back(variant_name(*info.find(name)));
  std::ranges::sort(names);
  return names;
}

std::string class_of_variant(std::string name) {
  const std::size_t mark = name.rfind('#');
  if (mark == std::string::npos || name.size() - mark - 1 != kHexDigits) return name;
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (std::all_of(name.begin() + static_cast<std::ptrdiff_t>(mark) + 1, name.end(), is_hex))
    name.resize(mark);
  return name;
}

NeededVariants needed_variants(const PromptGraph& graph, const ObjectInfo& merged) {
  struct Part {
    std::size_t source;
    std::set<std::string_view> unfit;  // classes whose nodes it does not take
  };
  std::vector<Part> parts;
  std::set<std::string_view> differ;
  const std::span<const ObjectInfo> sources = merged.sources();
  for (std::size_t source = 0; source < sources.size(); ++source) {
    const ObjectInfo& info = sources[source];
    Part part{source, {}};
    bool has_all = true;
    for (const PromptNode& node : graph.nodes()) {
      const NodeClass* own = info.find(node.class_type);
      has_all = has_all && own != nullptr;
      if (own == nullptr || own == node.node_class) continue;
      if (!fits(*own, node.inputs)) part.unfit.insert(node.class_type);
    }
    if (!has_all) continue;
    differ.insert(part.unfit.begin(), part.unfit.end());
    parts.push_back(std::move(part));
  }
  const auto chosen = std::ranges::find_if(parts, [](const Part& part) { return part.unfit.empty(); });
  NeededVariants needed;
  if (chosen == parts.end()) return needed;
  needed.source = chosen->source;
  for (const std::string_view name : differ)
    needed.names.push_back(variant_name(*sources[chosen->source].find(name)));
  return needed;
}

}  // namespace atelier::comfy
