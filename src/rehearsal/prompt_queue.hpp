// SPDX-License-Identifier: MIT
#pragma once
// What waits, what runs and what has ended, with the semantics of ComfyUI's queue (comfyui-interface.md
// C3-C6). Pure data of the io thread; nothing here sends events. Lost on restart, as in ComfyUI.

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "comfy/history.hpp"
#include "comfy/json.hpp"

namespace atelier::rehearsal {

/// An accepted prompt, in its accepted form.
struct QueueItem {
  comfy::QueueNumber number;
  std::string prompt_id;
  comfy::Json prompt, extra_data;
  std::vector<std::string> outputs_to_execute;
  std::int64_t create_time = 0;  // unix ms
  std::optional<std::string> workflow_id;

  /// extra_data.client_id: whom events go to; absent = everybody (comfyui-interface.md B3).
  [[nodiscard]] std::optional<std::string> client_id() const;
  [[nodiscard]] std::string tuple() const;
};

/// How a prompt ended.
struct Outcome {
  bool success = false;
  std::vector<comfy::HistoryMessage> messages;
  comfy::Json outputs;  // object: node -> ui
  comfy::Json meta;     // object
};

class PromptQueue {
 public:
  static constexpr std::size_t kHistoryMax = 10'000;   // the oldest goes first
  static constexpr std::size_t kPendingMax = 100'000;  // a full queue refuses; ComfyUI has no limit

  /// False if full.
  [[nodiscard]] bool put(QueueItem item);
  /// The lowest number (of equal ones the lower prompt_id, as Python compares the tuples) becomes the running
  /// one. nullptr if nothing waits. Call finish() before the next take().
  [[nodiscard]] std::shared_ptr<const QueueItem> take();
  void finish(const Outcome& outcome);

  [[nodiscard]] std::uint64_t remaining() const { return pending_.size() + (running_ ? 1u : 0u); }
  [[nodiscard]] bool is_running(std::string_view prompt_id) const {
    return running_ && running_->prompt_id == prompt_id;
  }
  [[nodiscard]] bool has_pending() const { return !pending_.empty(); }

  void clear();
  enum class Removed { no, one, last };
  /// The first waiting one with this id.
  Removed remove(std::string_view prompt_id);

  void clear_history();
  void forget(std::string_view prompt_id);

  /// The body of GET /queue, sorted by number.
  [[nodiscard]] std::string queue_json() const;
  /// The body of GET /history; offset < 0 with max_items = the last ones.
  [[nodiscard]] std::string history_json(std::optional<std::int64_t> max_items, std::int64_t offset) const;
  /// The body of GET /history/{id}: `{}` if unknown.
  [[nodiscard]] std::string history_json(std::string_view prompt_id) const;
  [[nodiscard]] std::string jobs_json(const comfy::JobsQuery& query) const;
  /// nullopt if unknown.
  [[nodiscard]] std::optional<std::string> job_json(std::string_view prompt_id) const;

 private:
  struct Ended {
    std::string item_json;
    std::string outputs_json, status_json, prompt_json, extra_data_json;
    comfy::JobEntry entry;
  };
  using History = std::list<std::pair<std::string, Ended>>;

  std::vector<std::shared_ptr<const QueueItem>> pending_;  // sorted
  std::shared_ptr<const QueueItem> running_;
  History history_;
  std::unordered_map<std::string, History::iterator> by_id_;
};

}  // namespace atelier::rehearsal
