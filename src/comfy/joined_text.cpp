// SPDX-License-Identifier: MIT
#include "comfy/joined_text.hpp"

#include <boost/json.hpp>
#include <string_view>

#include "comfy/input_spec.hpp"
#include "comfy/prompt_graph.hpp"
#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr int kStepsMax = 100;
constexpr std::size_t kBytesMax = 4096;  // of a path, for Linux

class Joiner {
 public:
  explicit Joiner(const PromptGraph& graph) : graph_(graph) {}

  std::optional<std::string> text_of(const json::value& value) {
    if (const auto* text = value.if_string()) return std::string(text_view(*text));
    if (!is_link(value) || ++steps_ > kStepsMax) return std::nullopt;
    const auto at = graph_.find(text_view(value.get_array()[0].get_string()));
    if (!at || python_truth(value.get_array()[1])) return std::nullopt;
    const PromptNode& node = graph_.nodes()[*at];
    if (node.inputs == nullptr || node.node_class == nullptr || !is_core(*node.node_class))
      return std::nullopt;
    if (node.class_type == "PrimitiveString" || node.class_type == "PrimitiveStringMultiline")
      return input(*node.inputs, "value");
    if (node.class_type == "StringConcatenate") return concatenated(*node.inputs);
    return std::nullopt;
  }

 private:
  std::optional<std::string> input(const json::object& inputs, std::string_view name) {
    const json::value* value = inputs.if_contains(name);
    return value == nullptr ? std::nullopt : text_of(*value);
  }

  std::optional<std::string> concatenated(const json::object& inputs) {
    auto first = input(inputs, "string_a");
    const auto second = first ? input(inputs, "string_b") : std::nullopt;
    if (!second) return std::nullopt;
    const bool separated = inputs.contains("delimiter");  // its default is ""
    const auto delimiter = separated ? input(inputs, "delimiter") : std::string();
    if (!delimiter || first->size() + delimiter->size() + second->size() > kBytesMax) return std::nullopt;
    return *first + *delimiter + *second;
  }

  /// A custom node may have the same name and do something else.
  static bool is_core(const NodeClass& node_class) {
    const auto* description = node_class.raw.value().if_object();
    const auto* module = description == nullptr ? nullptr : description->if_contains("python_module");
    return module != nullptr && module->is_string() &&
           text_view(module->get_string()).starts_with("comfy_extras.");
  }

  const PromptGraph& graph_;
  int steps_ = 0;
};

}  // namespace

std::optional<std::string> joined_text(const PromptGraph& graph, const json::value& link) {
  if (!is_link(link)) return std::nullopt;
  return Joiner(graph).text_of(link);
}

}  // namespace atelier::comfy
