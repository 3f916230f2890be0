// SPDX-License-Identifier: MIT
#pragma once
// The nodes of a prompt, each with its class: looked up once for all that is asked of them.

#include <boost/json/fwd.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

/// [node id, output], the output a number or, as in Python, a bool; ComfyUI 0.21.0,
/// comfy_execution/graph_utils.py, is_link.
[[nodiscard]] bool is_link(const boost::json::value& value);

struct PromptNode {
  std::string_view id;
  std::string_view class_type;            // "" if it has none that is text
  boost::json::object* object = nullptr;  // null: the node is something else
  const NodeClass* node_class = nullptr;  // null: the catalog does not know it
  boost::json::object* inputs = nullptr;  // null: it has none, or they are something else
};

/// Points into the prompt and the catalog, which must outlive it. What is in the objects of `inputs` may
/// change meanwhile; the nodes, their members and those objects themselves stay where they are.
class PromptGraph {
 public:
  PromptGraph(boost::json::object& prompt, const ObjectInfo& info);

  /// In the prompt's order.
  [[nodiscard]] const std::vector<PromptNode>& nodes() const { return nodes_; }
  /// The place of a node in nodes().
  [[nodiscard]] std::optional<std::size_t> find(std::string_view id) const;

 private:
  const boost::json::object* prompt_;
  std::vector<PromptNode> nodes_;
};

/// The names in `class_type`, sorted, each once.
[[nodiscard]] std::vector<std::string> classes_of(const PromptGraph& graph);

/// Values of model combos, sorted, each once. Unknown classes and linked inputs give nothing.
[[nodiscard]] std::vector<ModelReference> models_of(const PromptGraph& graph,
                                                    const ModelFolders& folders = {});

}  // namespace atelier::comfy
