// SPDX-License-Identifier: MIT
#pragma once
// One prompt on its way through the engine: nodes in order, events, outcome. Private to engine.cpp.

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comfy/messages.hpp"
#include "comfy/object_info.hpp"
#include "rehearsal/clients.hpp"
#include "rehearsal/engine.hpp"
#include "rehearsal/execution_order.hpp"
#include "rehearsal/node.hpp"
#include "rehearsal/prompt_queue.hpp"
#include "runtime/signal.hpp"

namespace atelier::rehearsal {

/// Set by the io thread, read by the running node; `changed` wakes a wait for step_time.
struct InterruptFlag {
  explicit InterruptFlag(Runtime& runtime) : changed(runtime) {}
  void set() {
    wanted.store(true);
    changed.notify_all();
  }
  std::atomic<bool> wanted{false};
  Signal changed;
};

class PromptRun {
 public:
  PromptRun(Runtime& runtime, const EngineOptions& options, Clients& clients, const comfy::ObjectInfo& info,
            InterruptFlag& interrupt, std::shared_ptr<const QueueItem> item);
  PromptRun(const PromptRun&) = delete;
  PromptRun& operator=(const PromptRun&) = delete;

  /// Sends everything from execution_start to execution_success / _error / _interrupted.
  [[nodiscard]] awaitable<Outcome> run();
  /// The node that runs now; "" before the first and after the last one.
  [[nodiscard]] const std::string& current_node() const { return current_node_; }

 private:
  class NodeWatch;

  void build_graph();
  awaitable<NodeResult<NodeOutput>> run_node(const std::string& id, const NodeClass& node);
  awaitable<bool> spend_step_time(const std::string& id);  // false if interrupted
  NodeCall make_call(const std::string& id, const comfy::NodeClass& declared) const;
  void keep_result(const std::string& id, NodeOutput output);
  void report_failure(const std::string& id, const NodeClass& node, const NodeFailure& failure);

  void add_message(std::string type, std::string data_json, bool broadcast);
  void send_progress_state();
  void start_progress(const std::string& id);
  void report_progress(const std::string& id, double value, double max);
  void finish_progress(const std::string& id);

  Runtime& runtime_;
  const EngineOptions& options_;
  Clients& clients_;
  const comfy::ObjectInfo& info_;
  InterruptFlag& interrupt_;
  std::shared_ptr<const QueueItem> item_;
  std::optional<std::string> client_;
  std::vector<image::PngText> metadata_;
  std::string temp_letters_;
  std::map<std::string, GraphNode> graph_;
  std::map<std::string, std::vector<Value>> results_;
  std::map<std::string, std::size_t> uses_left_;  // of a node's results
  std::vector<comfy::NodeProgress> progress_;
  std::vector<std::string> executed_;
  std::string current_node_;
  Outcome outcome_;
};

}  // namespace atelier::rehearsal
