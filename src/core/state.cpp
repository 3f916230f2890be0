// SPDX-License-Identifier: MIT
#include "core/state.hpp"

#include <algorithm>

namespace atelier::core {

ParticipantFacts& Core::State::participant(ParticipantId id) {
  auto [found, fresh] = participants.try_emplace(id);
  if (fresh) found->second.participant = id;
  return found->second;
}

JobFacts* Core::State::find(JobId job) {
  auto found = jobs.find(job);
  return found == jobs.end() ? nullptr : &found->second;
}

SlotFacts* Core::State::find(SlotId slot) {
  auto worker = workers.find(slot.worker);
  if (worker == workers.end()) return nullptr;
  for (SlotFacts& candidate : worker->second.slots) {
    if (candidate.index == slot.index) return &candidate;
  }
  return nullptr;
}

namespace {

bool waits(const JobFacts& job) { return job.state == JobState::queued || job.state == JobState::held; }

bool worn_out(const JobFacts& job) { return job.deaths >= kDeathsMax || job.losses >= kLossesMax; }

}  // namespace

/// The worker that gave a waiting job back for what all its slots share, as long as the slot that had it has
/// not said that it is idle.
WorkerId Core::State::avoided_by(const JobFacts& job) const {
  const auto found = given_back.find(job.job);
  if (found == given_back.end()) return {};
  const GivenBack& last = found->second;
  if (last.reason != ReturnReason::disk_full && last.reason != ReturnReason::input_not_fetched) return {};
  const auto worker = workers.find(last.worker);
  if (worker == workers.end()) return {};
  const bool pauses = std::ranges::any_of(worker->second.slots, [&](const SlotFacts& slot) {
    return slot.job == job.job && slot.epoch == job.epoch && slot.state == SlotState::stopping;
  });
  return pauses ? last.worker : WorkerId{};
}

void Core::State::review_avoided(WorkerId worker) {
  const auto found = avoided.find(worker);
  if (found == avoided.end()) return;
  const std::set<JobId> before = found->second;
  for (const JobId id : before) {
    const JobFacts& job = jobs.at(id);
    if (avoided_by(job) == worker) continue;
    unindex_as_waiting(job);
    index_as_waiting(job);
  }
}

void Core::State::unindex_as_waiting(const JobFacts& job) {
  if (!waiting.contains(job.job)) return;
  if (const auto found = avoided.find(waiting.needs(waiting.at(job.job).kind).avoided);
      found != avoided.end()) {
    found->second.erase(job.job);
    if (found->second.empty()) avoided.erase(found);
  }
  waiting.remove(job);
}

void Core::State::unindex(const JobFacts& job) {
  unindex_as_waiting(job);
  to_end.erase(job.job);
  without_input.erase(job.job);
  passed.erase(job.job);
  if (job.cancel_at) cancels.erase({*job.cancel_at, job.job});
  if (job.cancel_requested) cancels.erase({*job.cancel_requested + milliseconds{kCancelAnswerMs}, job.job});
  OwnerIndex& owner = owners[job.submitted.participant];
  owner.by_prompt_id.erase(job.submitted.prompt_id);
  if (waits(job)) {
    owner.waiting.erase(LaneKey{!job.at_head, job.number, job.job});
    if (!job.cancel_requested) --owner.waiting_count;
  } else {
    owner.granted.erase(job.job);
    granted.erase(job.job);
    running.erase({job.lease->started_at, job.job});
    if (!job.lease->computed) --owner.occupying;
    --(job.state == JobState::leased ? owner.leased_count : owner.running_count);
  }
}

void Core::State::take_first_place(JobFacts& job) {
  if (!waiting.contains(job.job)) return;
  const JobId first = waiting.first_in_lane(job);
  if (first == job.job) return;
  JobFacts& other = jobs.at(first);
  waiting.exchange_places(job, other);
  const JobId taken = other.common_place(), left = job.common_place();
  job.place = taken;
  other.place = left == other.job ? JobId{} : left;
}

void Core::State::index_waiting() {
  arrivals.clear();  // their lanes are the other mode's
  waiting.reset(workshop.mode);
  avoided.clear();
  for (const auto& [id, job] : jobs) {
    if (job.state == JobState::queued && !to_end.contains(id)) index_as_waiting(job);
  }
}

std::uint64_t Core::State::start_tag(ParticipantId owner) const {
  const auto found = participants.find(owner);
  return found == participants.end() ? 0 : std::max(found->second.tag, found->second.floor);
}

void Core::State::remember_arrival(const JobFacts& job) {
  if (arrivals.size() == kArrivalsMax ||
      (!arrivals.empty() && job.submitted_at - arrivals.front().time > kArrivalsKept))
    arrivals.pop_front();
  arrivals.push_back({job.submitted_at, waiting.lane_of(job), waiting.at(job.job).job_class()});
}

const std::vector<std::string>& Core::State::models_in(SlotId slot) const {
  static const std::vector<std::string> none;
  const auto found = loaded.find(slot);
  return found == loaded.end() ? none : found->second;
}

void Core::State::index_as_waiting(const JobFacts& job) {
  const Submitted& submitted = job.submitted;
  const ParticipantId owner = submitted.participant;
  const WorkerId by = avoided_by(job);
  if (by) avoided[by].insert(job.job);
  waiting.add(job, {&participants.at(owner), &owners.at(owner)}, start_tag(owner),
              estimates.know(submitted.signature, submitted.models, submitted.classes), by);
}

void Core::State::index(const JobFacts& job) {
  OwnerIndex& owner = owners[job.submitted.participant];
  owner.by_prompt_id.emplace(job.submitted.prompt_id, job.job);
  if (job.cancel_at) cancels.insert({*job.cancel_at, job.job});
  if (job.passed_since) passed.insert(job.job);
  if (waits(job)) {
    owner.waiting.insert(owner.waiting.end(), LaneKey{!job.at_head, job.number, job.job});
    if (!job.cancel_requested) ++owner.waiting_count;
    if (job.cancel_requested || worn_out(job)) {
      to_end.insert(job.job);
    } else {
      if (lacks_input(job.job)) without_input.insert(job.job);
      if (job.state == JobState::queued) index_as_waiting(job);
    }
  } else {
    owner.granted.insert(job.job);
    granted.emplace(job.job, &job);
    if (job.lease->started && !job.lease->computed) running.insert({job.lease->started_at, job.job});
    if (!job.lease->computed) ++owner.occupying;
    ++(job.state == JobState::leased ? owner.leased_count : owner.running_count);
    if (job.cancel_requested)
      cancels.insert({*job.cancel_requested + milliseconds{kCancelAnswerMs}, job.job});
  }
}

}  // namespace atelier::core
