// SPDX-License-Identifier: MIT
#include "rehearsal/execution_order.hpp"

#include <algorithm>
#include <set>

namespace atelier::rehearsal {

ExecutionOrder::ExecutionOrder(const std::map<std::string, GraphNode>& graph,
                               const std::vector<std::string>& outputs) {
  for (const std::string& output : outputs) take_in(graph, output);
  for (const auto& node : pending_) {
    const auto& sources = graph.at(node.id).sources;
    for (const std::string& source : std::set<std::string>(sources.begin(), sources.end())) {
      const auto found = place_.find(source);
      if (found == place_.end()) continue;
      pending_[found->second].consumers.push_back(node.id);
      ++pending_[place_.at(node.id)].missing;
    }
  }
}

void ExecutionOrder::take_in(const std::map<std::string, GraphNode>& graph, const std::string& output) {
  std::vector<std::string> stack{output};
  while (!stack.empty()) {
    const std::string id = std::move(stack.back());
    stack.pop_back();
    const auto found = graph.find(id);
    if (found == graph.end() || !place_.emplace(id, pending_.size()).second) continue;
    pending_.push_back({id, found->second.output_node, 0, {}});
    for (const std::string& source : found->second.sources) stack.push_back(source);
  }
}

const ExecutionOrder::Pending* ExecutionOrder::find(const std::string& id) const {
  const auto found = place_.find(id);
  return found == place_.end() ? nullptr : &pending_[found->second];
}

bool ExecutionOrder::feeds_output(const Pending& node, int steps) const {
  return std::ranges::any_of(node.consumers, [&](const std::string& id) {
    const Pending* consumer = find(id);
    return consumer != nullptr && (steps == 1 ? consumer->output_node : feeds_output(*consumer, steps - 1));
  });
}

std::optional<std::string> ExecutionOrder::next() const {
  std::vector<const Pending*> ready;
  for (const Pending& node : pending_) {
    if (node.missing == 0) ready.push_back(&node);
  }
  if (ready.empty()) return std::nullopt;
  const auto first = [&](auto wanted) -> const Pending* {
    const auto found = std::ranges::find_if(ready, [&](const Pending* node) { return wanted(*node); });
    return found == ready.end() ? nullptr : *found;
  };
  if (const auto* node = first([](const Pending& n) { return n.output_node; })) return node->id;
  if (const auto* node = first([&](const Pending& n) { return feeds_output(n, 1); })) return node->id;
  if (const auto* node = first([&](const Pending& n) { return feeds_output(n, 2); })) return node->id;
  return ready.front()->id;
}

void ExecutionOrder::finish(const std::string& id) {
  const auto found = place_.find(id);
  if (found == place_.end()) return;
  const std::vector<std::string> consumers = pending_[found->second].consumers;
  for (const std::string& consumer : consumers) --pending_[place_.at(consumer)].missing;
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(found->second));
  place_.clear();
  for (std::size_t i = 0; i < pending_.size(); ++i) place_.emplace(pending_[i].id, i);
}

std::vector<std::string> ExecutionOrder::pending() const {
  std::vector<std::string> ids;
  for (const Pending& node : pending_) ids.push_back(node.id);
  return ids;
}

}  // namespace atelier::rehearsal
