// SPDX-License-Identifier: MIT
#pragma once
// In which order the nodes of a prompt run (ComfyUI 0.21, comfy_execution/graph.py): a node is ready when
// everything it takes from has run; of several ready ones an output node goes first, then one that feeds an
// output directly, then one that feeds it over one more node, then the one that was found first. Pure; linear
// in nodes for each step.

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace atelier::rehearsal {

struct GraphNode {
  bool output_node = false;
  std::vector<std::string>
      sources;  // ids of the nodes it takes from, in the order of its inputs; repeats allowed
};

class ExecutionOrder {
 public:
  /// Takes in `outputs` and all that they need. Ids that `graph` does not know are left out (validation
  /// refuses them).
  ExecutionOrder(const std::map<std::string, GraphNode>& graph, const std::vector<std::string>& outputs);

  /// The node to run now; nullopt when all have run, or when what is left is a cycle (see empty()).
  [[nodiscard]] std::optional<std::string> next() const;
  /// `id` has run; those that waited for it only become ready.
  void finish(const std::string& id);
  [[nodiscard]] bool empty() const { return pending_.empty(); }
  /// Ids still to run, in the order in which they were found.
  [[nodiscard]] std::vector<std::string> pending() const;

 private:
  struct Pending {
    std::string id;
    bool output_node = false;
    std::size_t missing = 0;             // distinct sources that have not run
    std::vector<std::string> consumers;  // distinct
  };
  void take_in(const std::map<std::string, GraphNode>& graph, const std::string& output);
  [[nodiscard]] const Pending* find(const std::string& id) const;
  [[nodiscard]] bool feeds_output(const Pending& node, int steps) const;

  std::vector<Pending> pending_;
  std::map<std::string, std::size_t> place_;  // id -> index in pending_
};

}  // namespace atelier::rehearsal
