// SPDX-License-Identifier: MIT
#include "gateway/instructor/api_waiting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "comfy/json.hpp"
#include "gateway/instructor/api_views.hpp"
#include "gateway/place_words.hpp"
#include "runtime/let_others_run.hpp"

namespace atelier::gateway {
namespace {

bool waits(const core::JobFacts& job) { return !job.lease && !job.cancel_requested; }

std::string words_json(const Words& words) {
  if (words.code.empty()) return "null";
  return fmt::format(R"({{"code":"{}","sentence":{}}})", words.code, comfy::quote_json(words.sentence));
}

}  // namespace

std::string ApiWaiting::members_of(const core::JobFacts& job) const {
  if (!waits(job)) return R"("ready_at":null,"waits_because":null,"worse_because":null)";
  const core::Core& core = workshop_.core();
  const View all = view();
  const bool queued = job.state == core::JobState::queued;
  const workshop::Standing* const standing = all == nullptr || !queued ? nullptr : all->find(job.job);
  const std::int64_t age = all == nullptr ? 0 : (workshop_.now() - all->at).count();
  std::string ready = "null";
  if (standing != nullptr && standing->ready) {
    // On the clock, and as exactly as people are told: so it stays the same while the time goes on.
    const std::int64_t made = runtime_.wall().ms - age;
    const std::int64_t early = standing->ready->early, late = standing->ready->late;
    const std::int64_t early_step = step_of(early - age), late_step = step_of(late - age);
    ready = fmt::format(R"({{"early":{},"late":{}}})", (made + early) / early_step * early_step,
                        (made + late + late_step - 1) / late_step * late_step);
  }
  const workshop::Setback* const setback = outlook_ == nullptr ? nullptr : outlook_->setback(job.job);
  const PlaceWords words{core, job, all.get(), standing, age, setback};
  return fmt::format(R"("ready_at":{},"waits_because":{},"worse_because":{})", ready,
                     words_json(words.reason()), words_json(words.cause()));
}

// ---- what readers were told

std::string ApiWaiting::print(const core::JobFacts& job) const {
  return fmt::format(R"({{"job":{},{}}})", job.job, members_of(job));
}

std::string ApiWaiting::row_of(const core::JobFacts& job) const {
  const auto told = rows_.find(job.job);
  return told == rows_.end() ? print(job) : told->second.text;
}

std::deque<JobId> ApiWaiting::all_waiting() const {
  const View all = view();
  std::deque<JobId> jobs;
  const std::vector<workshop::Standing> none;
  const std::vector<workshop::Standing>& standings = all == nullptr ? none : all->jobs;
  if (all != nullptr) jobs.assign(all->order.begin(), all->order.end());
  auto next = standings.begin();  // both are in the order of the jobs' numbers
  workshop_.core().each_job([&](const core::JobFacts& job) {
    while (next != standings.end() && next->job < job.job) ++next;
    const bool starts = next != standings.end() && next->job == job.job && next->place > 0;
    if (!starts && waits(job)) jobs.push_back(job.job);
  });
  if (jobs.size() > limits_.jobs_max) jobs.resize(limits_.jobs_max);
  return jobs;
}

awaitable<void> ApiWaiting::fill() {
  if (filled_) co_return;
  std::size_t written = 0;
  for (const JobId id : all_waiting()) {
    if (++written % kSlice == 0) co_await let_others_run();
    const core::JobFacts* const job = workshop_.core().job(id);
    if (job == nullptr || !waits(*job) || rows_.contains(id)) continue;
    rows_[id] = {job->submitted.participant, print(*job), 0};
  }
  filled_ = true;
}

void ApiWaiting::forget_all() {
  rows_.clear();
  new_.clear();
  to_look_at_.clear();
  filled_ = false;
}

bool ApiWaiting::due() const {
  if (!filled_ || runtime_.now() - looked_ < limits_.pause) return false;
  return !to_look_at_.empty() || stale_ || view() != seen_;
}

void ApiWaiting::look_at(JobId id) {
  const core::JobFacts* const job = workshop_.core().job(id);
  if (job == nullptr || !waits(*job)) {
    rows_.erase(id);
    return;
  }
  std::string text = print(*job);
  Row& row = rows_[id];
  if (row.text == text) return;
  row.owner = job->submitted.participant;
  row.text = std::move(text);
  new_.push_back(id);
}

awaitable<void> ApiWaiting::look() {
  looked_ = runtime_.now();
  if (to_look_at_.empty()) {
    stale_ = false;
    seen_ = view();
    to_look_at_ = all_waiting();
  }
  // Who is next hears of it in time however long the queue is.
  const View all = view();
  std::size_t looked_at = 0;
  const std::size_t first = all == nullptr ? 0 : std::min(limits_.first_max, all->order.size());
  for (; looked_at < first; ++looked_at) look_at(all->order[looked_at]);
  if (first > 0) co_await let_others_run();
  while (!to_look_at_.empty() && looked_at < limits_.looked_at_max && new_.size() < limits_.rows_max) {
    if (++looked_at % kSlice == 0) co_await let_others_run();
    if (to_look_at_.empty()) break;  // all was forgotten meanwhile
    look_at(to_look_at_.front());
    to_look_at_.pop_front();
  }
}

std::vector<ApiWaiting::Row> ApiWaiting::take(std::uint64_t sequence) {
  std::vector<Row> rows;
  for (const JobId id : std::exchange(new_, {})) {
    const auto row = rows_.find(id);
    if (row == rows_.end()) continue;  // it waits no more
    row->second.told_at = sequence;
    rows.push_back(row->second);
  }
  return rows;
}

std::vector<ApiWaiting::Row> ApiWaiting::told_since(std::uint64_t sequence) const {
  std::vector<Row> rows;
  for (const auto& [id, row] : rows_) {
    if (row.told_at >= sequence && row.told_at > 0) rows.push_back(row);
  }
  return rows;
}

}  // namespace atelier::gateway
