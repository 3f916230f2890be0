// SPDX-License-Identifier: MIT
#include "comfy/prompt_graph.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <unordered_set>

#include "comfy/input_spec.hpp"

namespace atelier::comfy {

namespace json = boost::json;

bool is_link(const json::value& value) {
  const auto* pair = value.if_array();
  return pair != nullptr && pair->size() == 2 && (*pair)[0].is_string() &&
         ((*pair)[1].is_number() || (*pair)[1].is_bool());
}

PromptGraph::PromptGraph(json::object& prompt, const ObjectInfo& info) : prompt_(&prompt) {
  nodes_.reserve(prompt.size());
  for (auto& member : prompt) {
    PromptNode& node = nodes_.emplace_back();
    node.id = {member.key().data(), member.key().size()};
    node.object = member.value().if_object();
    if (node.object == nullptr) continue;
    bool named = false;
    for (auto& field : *node.object) {
      if (field.key() == "class_type") {
        named = field.value().is_string();
        if (named) node.class_type = text_view(field.value().get_string());
      } else if (field.key() == "inputs") {
        node.inputs = field.value().if_object();
      }
    }
    if (named) node.node_class = info.find(node.class_type);
  }
}

std::optional<std::size_t> PromptGraph::find(std::string_view id) const {
  const auto found = prompt_->find(json::string_view(id.data(), id.size()));
  if (found == prompt_->end()) return std::nullopt;
  return static_cast<std::size_t>(found - prompt_->begin());
}

std::vector<std::string> classes_of(const PromptGraph& graph) {
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> names;
  for (const PromptNode& node : graph.nodes()) {
    if (!node.class_type.empty() && seen.insert(node.class_type).second) names.emplace_back(node.class_type);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace atelier::comfy
