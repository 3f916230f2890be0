// SPDX-License-Identifier: MIT
#include "rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "core/limits.hpp"
#include "journal/json.hpp"
#include "probe.hpp"

namespace atelier::sim {
namespace {

using core::JobFacts;

bool contains(const auto& range, const auto& value) {
  return std::ranges::find(range, value) != std::ranges::end(range);
}

bool subset(const std::vector<std::string>& wanted, const std::vector<std::string>& offered) {
  return std::ranges::all_of(wanted, [&](const auto& name) { return contains(offered, name); });
}

/// The order of one owner's jobs (core.md 4).
auto place_in_lane(const JobFacts& job) { return std::tuple(!job.at_head, job.number, job.job); }

std::int64_t delay_max(const JobFacts& job, Time now) {
  return std::min<std::int64_t>(std::max<std::int64_t>(60'000, (now - job.submitted_at).count() / 10),
                                300'000);
}

}  // namespace

void Rules::before(const core::Entry& entry) {
  const auto* leased = std::get_if<core::Leased>(&entry.event);
  if (leased == nullptr) {
    // The end of a job that decide proposed itself makes room that it did not see yet.
    const bool proposed = entry.origin.ticket == 0 && std::holds_alternative<core::Ended>(entry.event);
    first_of_batch_ = !proposed;
    return;
  }
  if (entry.time != last_) first_of_batch_ = true;
  last_ = entry.time;
  look_at_slots_and_jobs();
  check_grant(entry.time, *leased);
  first_of_batch_ = false;
}

void Rules::after(const core::Entry& entry, const std::vector<core::Effect>& effects) {
  if (const auto* capability = std::get_if<core::Capability>(&entry.event))
    capabilities_[capability->hash] = *capability;
  if (const auto* leased = std::get_if<core::Leased>(&entry.event)) {
    longest_ms_ = std::max(longest_ms_, leased->charge_ms);
    count_delays(entry.time, *leased);
  }
  if (const auto* computed = std::get_if<core::Computed>(&entry.event))
    longest_ms_ = std::max(longest_ms_, computed->gpu_ms);
  if (const auto* scheduled = std::get_if<core::CancelScheduled>(&entry.event)) undone_.erase(scheduled->job);
  for (const core::Effect& effect : effects) {
    const auto* undo = std::get_if<core::CancelUndone>(&entry.event);
    if (undo != nullptr && std::holds_alternative<core::Accepted>(effect)) undone_.insert(undo->job);
    // Nobody else writes: a proposal always fits.
    if (const auto* refused = std::get_if<core::Refused>(&effect); refused && entry.origin.ticket == 0)
      world_.broken(fmt::format("decide proposed what has no effect ({}): {}",
                                core::to_string(refused->reason), journal::to_json(entry)));
    if (const auto* queued = std::get_if<core::JobQueued>(&effect);
        queued != nullptr && queued->cause != core::QueueCause::released)
      delays_[queued->job].since.reset();
    if (const auto* ended = std::get_if<core::JobEnded>(&effect)) {
      on_ended(*ended);
      delays_.erase(ended->facts.job);
    }
  }
  if (core_.workshop().virtual_time < virtual_time_) world_.broken("the ledger's time went back");
  virtual_time_ = core_.workshop().virtual_time;
}

void Rules::on_ended(const core::JobEnded& ended) const {
  const JobFacts& job = ended.facts;
  switch (ended.reason) {
    case core::EndReason::too_many_deaths:
      if (job.deaths < core::kDeathsMax) world_.broken(fmt::format("job {} died too seldom", job.job));
      break;
    case core::EndReason::too_many_returns:
      if (job.losses < core::kLossesMax) world_.broken(fmt::format("job {} came back too seldom", job.job));
      break;
    case core::EndReason::cancel_unanswered:
    case core::EndReason::cancelled_waiting:
      if (job.cancel_requested) break;
      if (!job.cancel_at || ended.time < *job.cancel_at || undone_.contains(job.job))
        world_.broken(fmt::format("job {} was cancelled though that was or could be undone", job.job));
      SIM_PROBE("cancelled_after_delay");
      break;
    case core::EndReason::time_limit: {
      const bool by_workshop = job.lease && !job.lease->computed;
      if (by_workshop) {
        SIM_PROBE("time_limit_by_workshop");
      } else {
        SIM_PROBE("time_limit_by_agent");
      }
      const milliseconds least = job_limit_ + milliseconds{by_workshop ? core::kJobLimitMarginMs : 0};
      // To the agent it may have begun before `started` was recorded: while the link or the server was down.
      if (!job.lease || ended.time - (by_workshop ? job.lease->started_at : job.lease->since) < least)
        world_.broken(fmt::format("job {} ended for its time before it was over", job.job));
      break;
    }
    default:
      break;
  }
}

void Rules::look_at_slots_and_jobs() {
  idle_.clear();
  queued_.clear();
  occupying_.clear();
  core_.each_worker([this](const core::WorkerFacts& worker) {
    if (!worker.link || worker.draining || worker.paused) return;
    for (const core::SlotFacts& slot : worker.slots) {
      if (slot.state == core::SlotState::idle) idle_.push_back({&worker, &slot});
    }
  });
  core_.each_job([this](const Job& job) {
    if (job.lease && !job.lease->computed) ++occupying_[job.submitted.participant];
    const bool ends =
        job.cancel_requested || job.deaths >= core::kDeathsMax || job.losses >= core::kLossesMax;
    if (job.state == core::JobState::queued && !ends) queued_.push_back(&job);
  });
}

bool Rules::may_start(ParticipantId owner) const {
  const core::ParticipantFacts* facts = core_.participant(owner);
  if (facts == nullptr) return true;
  if (facts->held) return false;
  if (facts->allowance_ms > 0 && facts->used_ms >= facts->allowance_ms) {
    SIM_PROBE("allowance_used_up");
    return false;
  }
  const auto occupying = occupying_.find(owner);
  if (facts->running_max == 0 || occupying == occupying_.end()) return true;
  if (occupying->second < facts->running_max) return true;
  SIM_PROBE("running_cap_reached");
  return false;
}

bool Rules::able(const Job& job, const Slot& slot) const {
  const core::Submitted& needs = job.submitted;
  if (!needs.pinned_worker.empty() && needs.pinned_worker != slot.worker->name) return false;
  const auto known = capabilities_.find(slot.slot->capability);
  return known != capabilities_.end() && subset(needs.tags, slot.worker->tags) &&
         subset(needs.classes, known->second.classes) && subset(needs.models, known->second.models);
}

bool Rules::can_start(const Job& job) const {
  return may_start(job.submitted.participant) &&
         std::ranges::any_of(idle_, [&](const Slot& slot) { return able(job, slot); });
}

bool Rules::is_moved(JobId job) const { return contains(core_.workshop().moved, job); }

std::uint64_t Rules::start_tag(ParticipantId owner) const {
  const core::ParticipantFacts* facts = core_.participant(owner);
  return facts == nullptr ? 0 : std::max(facts->tag, facts->floor);
}

std::uint32_t Rules::weight_of(ParticipantId owner) const {
  const core::ParticipantFacts* facts = core_.participant(owner);
  return facts == nullptr ? 1'000 : facts->weight_milli;
}

void Rules::check_grant(Time time, const core::Leased& leased) {
  const auto job = std::ranges::find(queued_, leased.job, &Job::job);
  if (job == queued_.end())
    world_.broken(fmt::format("job {} was granted while it is held, ended, or to end", leased.job));
  if (core_.workshop().paused) world_.broken("a job was granted while the workshop is paused");
  check_place(leased, **job);
  check_owner(leased, **job);
  const bool out_of_order = is_moved(leased.job) || (*job)->submitted.participant == ParticipantId{};
  const bool fair = core_.workshop().mode == core::QueueMode::round_robin;
  if (fair && !out_of_order) {
    SIM_PROBE("fair_grant");
    check_fair(time, leased, **job);
    return;
  }
  if (!leased.passed.empty()) world_.broken(fmt::format("job {} passes others without affinity", leased.job));
  if (first_of_batch_) check_order(leased, **job);
}

void Rules::check_place(const core::Leased& leased, const Job& job) const {
  const auto slot = std::ranges::find_if(idle_, [&](const Slot& candidate) {
    return SlotId{candidate.worker->worker, candidate.slot->index} == leased.slot;
  });
  if (slot == idle_.end())
    world_.broken(fmt::format("job {} was granted to a slot that is not free", leased.job));
  if (slot->worker->link != leased.link)
    world_.broken(fmt::format("job {} was granted to a link that is gone", leased.job));
  if (!able(job, *slot))
    world_.broken(fmt::format("job {} was granted to {}, which is not able or not its own", leased.job,
                              slot->worker->name));
  if (!job.submitted.pinned_worker.empty()) SIM_PROBE("pinned_grant");
}

void Rules::check_owner(const core::Leased& leased, const Job& job) const {
  const ParticipantId owner = job.submitted.participant;
  if (!may_start(owner))
    world_.broken(fmt::format("job {} was granted though participant {} may start none", leased.job, owner));
  if (leased.start_tag != start_tag(owner))
    world_.broken(fmt::format("job {} was granted with the start tag {} instead of {}", leased.job,
                              leased.start_tag, start_tag(owner)));
  if (owner == ParticipantId{} && leased.charge_ms != 0) world_.broken("the instructor was charged");
}

const JobFacts* Rules::first_in_order() const {
  for (JobId id : core_.workshop().moved) {
    const auto job = std::ranges::find(queued_, id, &Job::job);
    if (job != queued_.end() && can_start(**job)) return *job;
  }
  const bool levels = core_.workshop().mode == core::QueueMode::priority;
  const auto lane_of = [&](const Job& job) {
    return std::pair(job.submitted.participant,
                     levels ? job.submitted.priority : core::PriorityLevel::instructor);
  };
  // The lane's own order says who takes its first place.
  using Lane = std::pair<ParticipantId, core::PriorityLevel>;
  std::map<Lane, JobId> places;
  std::map<Lane, const Job*> firsts;
  for (const Job* job : queued_) {
    const Lane lane = lane_of(*job);
    JobId& first_place = places.try_emplace(lane, job->common_place()).first->second;
    first_place = std::min(first_place, job->common_place());
    if (!can_start(*job)) continue;
    const Job*& first = firsts.try_emplace(lane, job).first->second;
    if (place_in_lane(*job) < place_in_lane(*first)) first = job;
  }
  const Job* best = nullptr;
  using Turn = std::tuple<bool, core::PriorityLevel, JobId>;  // the instructor's own come first
  Turn best_turn;
  for (const auto& [lane, first] : firsts) {
    const Turn turn{lane.first != ParticipantId{}, lane.second, places.at(lane)};
    if (best != nullptr && best_turn < turn) continue;
    best = first;
    best_turn = turn;
  }
  return best;
}

void Rules::check_order(const core::Leased& leased, const Job& job) const {
  const Job* const first = first_in_order();
  if (is_moved(job.job)) {
    SIM_PROBE("moved_grant");
  } else if (job.submitted.participant == ParticipantId{}) {
    SIM_PROBE("instructor_grant");
  } else if (core_.workshop().mode == core::QueueMode::priority) {
    SIM_PROBE("priority_grant");
  }
  if (first == nullptr || first->job != leased.job)
    world_.broken(fmt::format("job {} was granted, job {} is first in {}", leased.job,
                              first == nullptr ? JobId{} : first->job,
                              core::to_string(core_.workshop().mode)));
}

void Rules::check_fair(Time time, const core::Leased& leased, const Job& job) {
  for (const Job* other : queued_) {
    const bool before = other->submitted.participant == job.submitted.participant &&
                        place_in_lane(*other) < place_in_lane(job) && can_start(*other);
    if (before && !contains(leased.passed, other->job))
      world_.broken(fmt::format("job {} passed its owner's job {} without a word", leased.job, other->job));
  }
  if (first_of_batch_) {
    // Moved jobs and the instructor's own go first in this mode, too.
    const Job* const first = first_in_order();
    if (first != nullptr && (is_moved(first->job) || first->submitted.participant == ParticipantId{}))
      world_.broken(fmt::format("job {} had a fair turn before job {}", leased.job, first->job));
  }
  // Who has a later job of their own run first has another turn in the order.
  const bool own_passed = std::ranges::any_of(leased.passed, [&](JobId id) {
    const Job* passed = core_.job(id);
    return passed != nullptr && passed->submitted.participant == job.submitted.participant;
  });
  if (first_of_batch_ && same_estimates_ && !own_passed) {
    const core::Decision strict = core_.decide(time, {.places_max = 0, .delay_max = {}});
    for (const core::Event& event : strict.proposals) {
      const auto* grant = std::get_if<core::Leased>(&event);
      if (grant == nullptr) continue;
      if (grant->job == leased.job) break;
      SIM_PROBE("strict_order_passed");
      if (!contains(leased.passed, grant->job))
        world_.broken(
            fmt::format("job {} passed job {}, the first in order, without a word", leased.job, grant->job));
      break;
    }
  }
  check_delays(time, leased);
  const bool models = std::ranges::any_of(queued_, [](const Job* j) { return !j->submitted.models.empty(); });
  if (models) return;
  if (!leased.passed.empty()) world_.broken("affinity acts though no job needs a model");
  check_lag(leased, job);
}

void Rules::check_lag(const core::Leased& leased, const Job& job) const {
  const auto slot = std::ranges::find_if(idle_, [&](const Slot& candidate) {
    return SlotId{candidate.worker->worker, candidate.slot->index} == leased.slot;
  });
  for (const Job* other : queued_) {
    const ParticipantId owner = other->submitted.participant;
    if (owner == job.submitted.participant || owner == ParticipantId{}) continue;
    if (!may_start(owner) || !able(*other, *slot)) continue;
    SIM_PROBE("lag_checked");
    if (leased.start_tag > start_tag(owner) + longest_ms_ * 1'000 / weight_of(owner))
      world_.broken(fmt::format("job {} had a turn at {}, participant {} waits at {}", leased.job,
                                leased.start_tag, owner, start_tag(owner)));
  }
}

void Rules::check_delays(Time time, const core::Leased& leased) {
  for (const JobId id : leased.passed) {
    const auto job = std::ranges::find(queued_, id, &Job::job);
    if (job == queued_.end()) world_.broken(fmt::format("job {} was passed and does not wait", id));
    const Delay& delay = delays_[id];
    const std::int64_t so_far = delay.closed_ms + (delay.since ? (time - *delay.since).count() : 0);
    if (so_far > delay_max(**job, time))
      world_.broken(fmt::format("job {} was passed by job {} after {} ms of it", id, leased.job, so_far));
    SIM_PROBE("passed_by_affinity");
    if (so_far > 0) SIM_PROBE("passed_again");
  }
}

void Rules::count_delays(Time time, const core::Leased& leased) {
  for (auto& [id, delay] : delays_) {
    if (!delay.since || contains(leased.passed, id)) continue;
    delay.closed_ms += (time - *delay.since).count();
    delay.since.reset();
    const JobFacts* job = core_.job(id);
    if (job != nullptr && static_cast<std::int64_t>(job->passed_ms) != delay.closed_ms)
      world_.broken(
          fmt::format("job {} was delayed {} ms, its facts say {}", id, delay.closed_ms, job->passed_ms));
  }
  for (const JobId id : leased.passed) {
    if (Delay& delay = delays_[id]; !delay.since) delay.since = time;
  }
}

}  // namespace atelier::sim
