// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <utility>

#include "base/duration_text.hpp"
#include "core/policy.hpp"

namespace atelier::core {
namespace {

bool subset(const std::vector<std::string>& wanted, const std::vector<std::string>& offered) {
  return std::ranges::includes(offered, wanted);  // both sorted
}

/// Of a job that came back too often.
std::string sentence_of(const Core::State& state, const JobFacts& job) {
  if (job.deaths >= kDeathsMax)
    return "Set aside: 3 workers went down while running this job; the instructor sees it.";
  if (state.lacks_input(job.job))
    return "Set aside: 3 times the files that this job reads could not be brought to a worker, or are more "
           "than it takes; the instructor sees it.";
  std::string_view last;
  if (const auto found = state.given_back.find(job.job); found != state.given_back.end()) {
    if (found->second.reason == ReturnReason::disk_full)
      last = ", the last time because the worker's disk was full";
    if (found->second.reason == ReturnReason::input_not_fetched)
      last = ", the last time because the files that it reads could not be fetched";
    if (found->second.reason == ReturnReason::refused_by_engine)
      last = ", the last time because the worker's ComfyUI did not take it";
  }
  return fmt::format(
      "Set aside: this job was given back {} times without a result{}; the instructor sees it.", kLossesMax,
      last);
}

/// Once leased it may have begun: its owner is told of its end, and keeps what it has made.
EndReason reason_of_cancel(const JobFacts& job) {
  return job.epoch ? EndReason::cancel_unanswered : EndReason::cancelled_waiting;
}

/// By the worker's name and tags.
bool reachable(const WorkerFacts& worker, const Needs& needs) {
  return (needs.pinned_worker.empty() || needs.pinned_worker == worker.name) &&
         subset(needs.tags, worker.tags);
}

}  // namespace

bool able(const Core::State& state, const WorkerFacts& worker, const SlotFacts& slot, const Needs& needs) {
  if (!reachable(worker, needs)) return false;
  const auto found = state.capabilities.find(slot.capability);
  if (found == state.capabilities.end()) return false;
  return subset(needs.classes, found->second.capability.classes) &&
         subset(needs.models, found->second.capability.models);
}

bool able_kind(const Core::State& state, KindId kind, const WorkerFacts& worker, const SlotFacts& slot) {
  const Needs& needs = state.waiting.needs(kind);
  if (!reachable(worker, needs) || !state.capabilities.contains(slot.capability)) return false;
  const auto [known, fresh] = state.can_run.try_emplace({kind, slot.capability}, false);
  if (fresh) known->second = able(state, worker, slot, needs);
  return known->second;
}

Decision Policy::run() {
  end_what_is_over();
  end_what_ran_too_long();
  // An end gives back what its owner was charged too much: whose turn it is, is asked when that is recorded.
  if (!decision_.proposals.empty()) return std::move(decision_);
  if (!state_.workshop.paused && (state_.waiting.size() > 0)) {
    find_slots(SlotState::idle);
    grant_all();
  }
  return std::move(decision_);
}

std::vector<LikelyNext> Policy::foresee() {
  std::vector<LikelyNext> likely;
  if (state_.workshop.paused || state_.waiting.size() == 0) return likely;
  find_slots(SlotState::busy);
  grant_all();
  for (const Event& proposal : decision_.proposals) {
    const auto& leased = std::get<Leased>(proposal);
    likely.push_back({leased.slot, leased.link, leased.job, leased.epoch});
  }
  return likely;
}

void Policy::grant_all() {
  if (left_ == 0) return;
  grant_moved();
  grant_instructor();
  if (state_.workshop.mode == QueueMode::round_robin) {
    grant_fair_turns();
  } else {
    grant_in_common_order();
  }
}

void Policy::end_what_is_over() {
  const auto end = [this](JobId id) {
    const JobFacts& job = state_.jobs.at(id);
    Ended ended;
    ended.job = id;
    if (job.cancel_requested) {
      ended.outcome = Outcome::cancelled;
      ended.reason = reason_of_cancel(job);
    } else {
      ended.outcome = Outcome::failed;
      ended.reason = job.deaths >= kDeathsMax ? EndReason::too_many_deaths : EndReason::too_many_returns;
      ended.sentence = sentence_of(state_, job);
    }
    decision_.proposals.emplace_back(std::move(ended));
  };
  for (const JobId id : state_.to_end) end(id);
  for (const JobId id : state_.without_input) end(id);
  for (const auto& [at, id] : state_.cancels) {
    if (!is_due(at)) break;
    const JobFacts& job = state_.jobs.at(id);
    if (state_.to_end.contains(id) || state_.without_input.contains(id)) continue;
    Ended ended;
    ended.job = id;
    ended.outcome = Outcome::cancelled;
    ended.reason = reason_of_cancel(job);
    decision_.proposals.emplace_back(std::move(ended));
  }
}

bool Policy::is_due(Time at) {
  if (at <= now_) return true;
  decision_.next_at = std::min(decision_.next_at.value_or(at), at);
  return false;
}

void Policy::end_what_ran_too_long() {
  if (settings_.job_limit.count() == 0) return;
  for (const auto& [started, id] : state_.running) {
    if (!is_due(started + settings_.job_limit + milliseconds{kJobLimitMarginMs})) break;
    const JobFacts& job = state_.jobs.at(id);
    const bool cancel_due =
        job.cancel_requested && *job.cancel_requested + milliseconds{kCancelAnswerMs} <= now_;
    if (cancel_due) continue;  // ended above
    Ended ended;
    ended.job = id;
    ended.outcome = Outcome::failed;
    ended.reason = EndReason::time_limit;
    ended.sentence = time_limit_text(settings_.job_limit);
    decision_.proposals.emplace_back(std::move(ended));
  }
}

void Policy::find_slots(SlotState state) {
  for (const auto& [id, worker] : state_.workers) {
    if (!worker.link || worker.draining || worker.paused) continue;
    for (const SlotFacts& slot : worker.slots) {
      if (slot.state != state) continue;
      free_.push_back({&worker, &slot, &state_.models_in(SlotId{id, slot.index})});
    }
  }
  left_ = free_.size();
}

bool Policy::may_start(const LaneOwner& owner) const {
  const ParticipantFacts& facts = *owner.facts;
  if (state_.workshop.everyone_held && facts.participant) return false;
  if (facts.held) return false;
  if (facts.allowance_ms > 0 && facts.used_ms >= facts.allowance_ms) return false;
  std::uint32_t running_max = facts.running_max;
  if (running_max == 0 && facts.participant) running_max = settings_.running_per_participant_max;
  if (running_max == 0) return true;
  const auto taken = taken_.find(facts.participant);
  return owner.jobs->occupying + (taken == taken_.end() ? 0 : taken->second.granted) < running_max;
}

void Policy::compare(KindId kind, KindFits& fits) const {
  fits.call = call_;
  fits.left = SIZE_MAX;
  fits.of_slots.clear();
  const Needs& needs = state_.waiting.needs(kind);
  for (const FreeSlot& free : free_) {
    const bool unable =
        needs.avoided == free.worker->worker || !able_kind(state_, kind, *free.worker, *free.slot);
    fits.of_slots.push_back(unable                               ? Fit::unable
                            : subset(needs.models, *free.loaded) ? Fit::holds
                                                                 : Fit::able);
  }
}

void Policy::find_best(KindFits& fits) const {
  fits.left = left_;
  fits.best = kNone;
  const auto rank = [&](std::size_t i) { return std::pair(fits.of_slots[i], free_[i].worker->speed_milli); };
  for (std::size_t i = 0; i < free_.size(); ++i) {
    if (free_[i].taken || fits.of_slots[i] == Fit::unable) continue;
    if (fits.best == kNone || rank(fits.best) < rank(i)) fits.best = i;
  }
  fits.held = fits.best != kNone && fits.of_slots[fits.best] == Fit::holds;
}

std::uint64_t Policy::start_tag(ParticipantId owner, std::uint64_t recorded) const {
  const auto taken = taken_.find(owner);
  return taken != taken_.end() && taken->second.tag ? std::max(*taken->second.tag, recorded) : recorded;
}

std::size_t Policy::with_another_worker(const WaitingJob& job, std::size_t slot) {
  const auto given_back = state_.given_back.find(job.key.job);
  if (given_back == state_.given_back.end() || given_back->second.reason == ReturnReason::draining ||
      given_back->second.reason == ReturnReason::slot_removed)
    return slot;
  const WorkerId last = given_back->second.worker;
  if (free_[slot].worker->worker != last) return slot;
  const std::vector<Fit>& fit = fits(job.kind).of_slots;
  const auto rank = [&](std::size_t i) { return std::pair(fit[i], free_[i].worker->speed_milli); };
  std::size_t best = kNone;
  for (std::size_t i = 0; i < free_.size(); ++i) {
    if (free_[i].taken || fit[i] == Fit::unable || free_[i].worker->worker == last) continue;
    if (best == kNone || rank(best) < rank(i)) best = i;
  }
  return best == kNone ? slot : best;
}

void Policy::grant(const WaitingJob& job, std::size_t slot, const std::vector<const JobFacts*>& passed) {
  // Who is passed was told how long this one takes where it is.
  if (passed.empty()) slot = with_another_worker(job, slot);
  FreeSlot& chosen = free_[slot];
  const ParticipantId owner = job.facts->submitted.participant;
  Taken& taken = taken_[owner];
  Leased leased;
  leased.job = job.key.job;
  leased.slot = SlotId{chosen.worker->worker, chosen.slot->index};
  leased.link = chosen.worker->link;
  leased.epoch = Epoch{job.facts->epoch.value + 1};
  leased.loads = !holds(job.kind, slot);
  for (const JobFacts* other : passed) {
    leased.passed.push_back(other->job);
    ++passed_now_[other->job];
  }
  leased.start_tag = start_tag(owner, state_.start_tag(owner));
  // The instructor's jobs cost nothing (core.md 2).
  if (owner != ParticipantId{}) {
    leased.charge_ms = state_.estimates.run_ms(*job.estimate, chosen.worker->speed_milli) +
                       (leased.loads ? state_.estimates.load_ms(*job.estimate) : 0);
    const std::uint32_t weight = state_.participants.at(owner).weight_milli;
    taken.tag = leased.start_tag + leased.charge_ms * 1000 / std::max<std::uint32_t>(weight, 1);
  }
  decision_.proposals.emplace_back(std::move(leased));
  taken.jobs.insert(job.key.job);
  ++taken.granted;
  chosen.taken = true;
  --left_;
}

void Policy::grant_moved() {
  for (JobId id : state_.workshop.moved) {
    if (left_ == 0) return;
    if (!state_.waiting.contains(id)) continue;
    const WaitingJob& waiting = state_.waiting.at(id);
    if (!may_start(state_.waiting.lanes().at(state_.waiting.lane_of(*waiting.facts)).owner)) continue;
    if (const std::size_t slot = slot_for(waiting.kind); slot != kNone) grant(waiting, slot);
  }
}

void Policy::grant_instructor() {
  const auto& lanes = state_.waiting.lanes();
  for (auto lane = lanes.lower_bound({}); lane != lanes.end() && lane->first.owner == ParticipantId{};
       ++lane) {
    while (left_ > 0 && grant_from(ParticipantId{}, lane->second)) {
    }
  }
}

bool Policy::grant_from(ParticipantId owner, const Lane& lane) {
  if (!may_start(lane.owner)) return false;
  const Taken& taken = taken_[owner];
  const LaneKey* best = nullptr;
  std::size_t best_slot = kNone;
  for (const auto& [kind, keys] : lane.kinds) {
    const LaneKey* first = nullptr;
    for (const LaneKey& key : keys) {
      if (taken.jobs.contains(key.job)) continue;
      first = &key;
      break;
    }
    if (first == nullptr || (best != nullptr && *best < *first)) continue;
    const std::size_t slot = slot_for(kind);
    if (slot == kNone) continue;
    best = first;
    best_slot = slot;
  }
  if (best == nullptr) return false;
  grant(*lane.order.at(*best), best_slot);
  return true;
}

void Policy::grant_in_common_order() {
  // A lane's places are its jobs' (ids at first); which of the owner's jobs takes which is the lane's order
  // (core.md 4).
  std::priority_queue<Place, std::vector<Place>, std::greater<>>
      again;  // lanes that had a turn, at their next place
  std::map<LaneId, std::map<JobId, JobId>::const_iterator> cursors;
  auto fresh = state_.waiting.heads().begin();
  while (left_ > 0) {
    const bool from_fresh = fresh != state_.waiting.heads().end() && (again.empty() || *fresh < again.top());
    if (!from_fresh && again.empty()) return;
    const Place place = from_fresh ? *fresh++ : again.top();
    if (!from_fresh) again.pop();
    if (place.owner == ParticipantId{}) continue;
    const Lane& lane = state_.waiting.lanes().at(place.lane());
    if (!grant_from(place.owner, lane))
      continue;  // none of its jobs can start: the places of this lane stay as they are
    auto cursor = cursors.try_emplace(place.lane(), lane.places.begin()).first;
    if (++cursor->second != lane.places.end()) again.push({place.level, cursor->second->first, place.owner});
  }
}

Decision Core::decide(Time now, const Affinity& affinity, const PolicySettings& settings) const {
  return Policy(*state_, now, affinity, settings).run();
}
std::vector<LikelyNext> Core::likely_next(Time now) const { return Policy(*state_, now).foresee(); }

}  // namespace atelier::core
