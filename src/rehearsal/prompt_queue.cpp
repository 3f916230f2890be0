// SPDX-License-Identifier: MIT
#include "rehearsal/prompt_queue.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <tuple>

namespace atelier::rehearsal {
namespace json = boost::json;
namespace {

comfy::JobEntry waiting_entry(const QueueItem& item, comfy::JobsStatus status) {
  comfy::JobEntry entry;
  entry.id = item.prompt_id;
  entry.status = status;
  entry.number = item.number;
  entry.create_time = item.create_time;
  entry.workflow_id = item.workflow_id;
  return entry;
}

std::optional<std::int64_t> timestamp_of(const std::string& data_json) {
  auto data = comfy::Json::parse(data_json);
  if (!data || !data->is_object()) return std::nullopt;
  const auto* time = std::as_const(*data).object().if_contains("timestamp");
  return time != nullptr && time->is_int64() ? std::optional(time->as_int64()) : std::nullopt;
}

// What /api/jobs tells of an ended prompt (comfy_execution/jobs.py: times and states come from the messages).
comfy::JobEntry ended_entry(const QueueItem& item, const Outcome& outcome) {
  comfy::JobEntry entry =
      waiting_entry(item, outcome.success ? comfy::JobsStatus::completed : comfy::JobsStatus::failed);
  for (const auto& message : outcome.messages) {
    if (message.type == "execution_start") entry.execution_start_time = timestamp_of(message.data_json);
    const bool ends = message.type == "execution_success" || message.type == "execution_error" ||
                      message.type == "execution_interrupted";
    if (ends) entry.execution_end_time = timestamp_of(message.data_json);
    if (message.type == "execution_interrupted") entry.status = comfy::JobsStatus::cancelled;
    if (message.type == "execution_error") entry.execution_error_json = message.data_json;
  }
  const auto summary = comfy::summarise_outputs(outcome.outputs.object());
  entry.outputs_count = summary.count;
  if (summary.preview) entry.preview_output_json = summary.preview->print();
  return entry;
}

}  // namespace

std::optional<std::string> QueueItem::client_id() const {
  const auto* id = extra_data.object().if_contains("client_id");
  if (id == nullptr || id->is_null()) return std::nullopt;
  return id->is_string() ? std::string(id->as_string()) : comfy::print_json(*id);
}

std::string QueueItem::tuple() const {
  return comfy::queue_tuple(number, prompt_id, prompt.print(), extra_data.print(), outputs_to_execute);
}

bool PromptQueue::put(QueueItem item) {
  if (pending_.size() >= kPendingMax) return false;
  auto shared = std::make_shared<const QueueItem>(std::move(item));
  const auto before = [](const auto& a, const auto& b) {
    return std::tie(a->number.value, a->prompt_id) < std::tie(b->number.value, b->prompt_id);
  };
  pending_.insert(std::ranges::upper_bound(pending_, shared, before), shared);
  return true;
}

std::shared_ptr<const QueueItem> PromptQueue::take() {
  if (pending_.empty() || running_) return nullptr;
  running_ = std::move(pending_.front());
  pending_.erase(pending_.begin());
  return running_;
}

void PromptQueue::finish(const Outcome& outcome) {
  if (!running_) return;
  const auto item = std::exchange(running_, nullptr);
  if (history_.size() > kHistoryMax) {
    by_id_.erase(history_.front().first);
    history_.pop_front();
  }
  Ended ended;
  ended.outputs_json = outcome.outputs.print();
  ended.status_json = comfy::history_status(outcome.success, outcome.messages);
  ended.prompt_json = item->prompt.print();
  ended.extra_data_json = item->extra_data.print();
  ended.item_json =
      comfy::history_item(item->tuple(), ended.outputs_json, ended.status_json, outcome.meta.print());
  ended.entry = ended_entry(*item, outcome);
  // The same id again overwrites the entry but keeps its place (a Python dict).
  if (const auto found = by_id_.find(item->prompt_id); found != by_id_.end()) {
    found->second->second = std::move(ended);
  } else {
    by_id_.emplace(item->prompt_id, history_.emplace(history_.end(), item->prompt_id, std::move(ended)));
  }
}

void PromptQueue::clear() { pending_.clear(); }

PromptQueue::Removed PromptQueue::remove(std::string_view prompt_id) {
  const auto found =
      std::ranges::find_if(pending_, [&](const auto& item) { return item->prompt_id == prompt_id; });
  if (found == pending_.end()) return Removed::no;
  pending_.erase(found);
  return pending_.empty() ? Removed::last : Removed::one;
}

void PromptQueue::clear_history() {
  history_.clear();
  by_id_.clear();
}

void PromptQueue::forget(std::string_view prompt_id) {
  const auto found = by_id_.find(std::string(prompt_id));
  if (found == by_id_.end()) return;
  history_.erase(found->second);
  by_id_.erase(found);
}

std::string PromptQueue::queue_json() const {
  std::vector<std::string> running, pending;
  if (running_) running.push_back(running_->tuple());
  for (const auto& item : pending_) pending.push_back(item->tuple());
  return comfy::queue_answer(running, pending);
}

std::string PromptQueue::history_json(std::optional<std::int64_t> max_items, std::int64_t offset) const {
  if (offset < 0 && max_items) offset = static_cast<std::int64_t>(history_.size()) - *max_items;
  std::vector<std::pair<std::string, std::string>> chosen;
  std::int64_t index = 0;
  for (const auto& [id, ended] : history_) {
    if (index++ < offset) continue;
    chosen.emplace_back(id, ended.item_json);
    if (max_items && static_cast<std::int64_t>(chosen.size()) >= *max_items) break;
  }
  return comfy::json_map(chosen);
}

std::string PromptQueue::history_json(std::string_view prompt_id) const {
  const auto found = by_id_.find(std::string(prompt_id));
  if (found == by_id_.end()) return "{}";
  return comfy::json_map({{found->first, found->second->second.item_json}});
}

std::string PromptQueue::jobs_json(const comfy::JobsQuery& query) const {
  std::vector<comfy::JobEntry> jobs;
  if (running_) jobs.push_back(waiting_entry(*running_, comfy::JobsStatus::in_progress));
  for (const auto& item : pending_) jobs.push_back(waiting_entry(*item, comfy::JobsStatus::pending));
  for (const auto& [id, ended] : history_) jobs.push_back(ended.entry);
  return comfy::jobs_answer(jobs, query);
}

std::optional<std::string> PromptQueue::job_json(std::string_view prompt_id) const {
  const auto of_waiting = [](const QueueItem& item, comfy::JobsStatus status) {
    return comfy::print_job_detail(waiting_entry(item, status), "", "", item.prompt.print(),
                                   item.extra_data.print());
  };
  if (const auto found = by_id_.find(std::string(prompt_id)); found != by_id_.end()) {
    const Ended& ended = found->second->second;
    return comfy::print_job_detail(ended.entry, ended.outputs_json, ended.status_json, ended.prompt_json,
                                   ended.extra_data_json);
  }
  if (is_running(prompt_id)) return of_waiting(*running_, comfy::JobsStatus::in_progress);
  for (const auto& item : pending_) {
    if (item->prompt_id == prompt_id) return of_waiting(*item, comfy::JobsStatus::pending);
  }
  return std::nullopt;
}

}  // namespace atelier::rehearsal
