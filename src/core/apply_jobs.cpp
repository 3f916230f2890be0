// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "base/assert.hpp"
#include "core/application.hpp"

namespace atelier::core {

JobFacts* Application::holder(JobId job, Epoch epoch) {
  JobFacts* found = state_.find(job);
  if (found == nullptr) {
    refuse(NoEffect::unknown_job);
    return nullptr;
  }
  // Waiting again after an expiry a job still has the ghost's epoch: only a lease counts (style.md 7).
  if (!found->lease || found->lease->epoch != epoch) {
    refuse(NoEffect::stale_epoch);
    return nullptr;
  }
  return found;
}

JobFacts* Application::waiting_job(JobId job) {
  JobFacts* found = state_.find(job);
  if (found == nullptr) {
    refuse(NoEffect::unknown_job);
    return nullptr;
  }
  if (found->lease) {
    refuse(NoEffect::job_not_queued);
    return nullptr;
  }
  return found;
}

void Application::on(const Submitted& event) {
  const auto owner = state_.owners.find(event.participant);
  if (owner != state_.owners.end()) {
    const auto rival = owner->second.by_prompt_id.find(event.prompt_id);
    if (rival != owner->second.by_prompt_id.end()) return refuse(NoEffect::live_rival, rival->second);
  }
  if (state_.jobs.size() >= state_.limits.jobs_max) return refuse(NoEffect::container_full);
  if (!state_.participants.contains(event.participant) &&
      state_.participants.size() >= state_.limits.participants_max) {
    return refuse(NoEffect::container_full);
  }
  const JobId id{++state_.workshop.last_job};
  ParticipantFacts& participant = state_.participant(event.participant);
  const bool lane_was_empty =
      owner == state_.owners.end() || (owner->second.waiting.empty() && owner->second.granted.empty());
  // Absence earns nothing, and being passed costs nothing (core.md 2).
  if (lane_was_empty) participant.floor = state_.workshop.virtual_time;

  JobFacts& job = state_.jobs.try_emplace(state_.jobs.end(), id)->second;
  job.job = id;
  job.submitted = event;
  const auto own_number = static_cast<double>(id.value);
  job.number = event.numbered ? event.number : event.front ? -own_number : own_number;
  job.submitted_at = job.queued_since = entry_.time;
  job.submitted_wall = entry_.wall;
  state_.index(job);
  state_.remember_arrival(job);
  Accepted accepted;
  accepted.job = id;
  accept(accepted);
  effect(JobQueued{id, event.participant, QueueCause::submitted});
}

void Application::close_passed_stretches(const std::vector<JobId>& passed) {
  for (auto open = state_.passed.begin(); open != state_.passed.end();) {
    if (std::ranges::find(passed, *open) != passed.end()) {
      ++open;
      continue;
    }
    JobFacts& job = state_.jobs.at(*open);
    job.passed_ms += static_cast<std::uint64_t>((entry_.time - *job.passed_since).count());
    job.passed_since.reset();
    open = state_.passed.erase(open);
  }
  for (JobId id : passed) {
    JobFacts* job = state_.find(id);
    if (job == nullptr || job->lease) continue;
    ++job->passed_places;
    if (job->passed_since) continue;
    job->passed_since = entry_.time;
    state_.passed.insert(id);
  }
}

void Application::on(const Leased& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (job->state != JobState::queued || job->cancel_requested) return refuse(NoEffect::job_not_queued);
  if (event.epoch.value != job->epoch.value + 1) return refuse(NoEffect::stale_epoch);
  WorkerFacts* worker = linked_worker(event.slot.worker, event.link);
  if (worker == nullptr) return;
  SlotFacts* slot = state_.find(event.slot);
  if (slot == nullptr) return refuse(NoEffect::unknown_slot);
  if (slot->state != SlotState::idle) return refuse(NoEffect::slot_taken);

  // The instructor's list is not of the common order: who is in it leaves with its own place.
  if (std::ranges::find(state_.workshop.moved, job->job) == state_.workshop.moved.end())
    state_.take_first_place(*job);
  state_.unindex(*job);
  leave_list(job->job);
  job->state = JobState::leased;
  job->epoch = event.epoch;
  LeaseFacts lease;
  lease.slot = event.slot;
  lease.link = event.link;
  lease.epoch = event.epoch;
  lease.since = entry_.time;
  lease.charge_ms = event.charge_ms;
  lease.start_tag = event.start_tag;
  lease.loads = event.loads;
  job->lease = lease;
  state_.index(*job);

  slot->state = SlotState::busy;
  slot->job = job->job;
  slot->epoch = event.epoch;
  ParticipantFacts& participant = state_.participant(job->submitted.participant);
  state_.workshop.virtual_time = std::max(state_.workshop.virtual_time, event.start_tag);
  participant.tag =
      event.start_tag + event.charge_ms * 1000 / std::max<std::uint32_t>(participant.weight_milli, 1);
  state_.turn_changed(job->submitted.participant);
  close_passed_stretches(event.passed);
  accept();
  effect(LeaseMoved{job->job, event.epoch, event.link});
  effect(JobLeased{job->job, job->submitted.participant, event.slot, event.link, event.epoch});
}

void Application::on(const Started& event) {
  JobFacts* job = holder(event.job, event.epoch);
  if (job == nullptr) return;
  if (job->lease->started) return refuse(NoEffect::nothing_to_change);
  state_.unindex(*job);
  job->state = JobState::running;
  job->lease->started = true;
  job->lease->started_at = entry_.time;
  job->lease->started_wall = entry_.wall;
  state_.index(*job);
  if (!job->submitted.models.empty()) state_.loaded[job->lease->slot] = job->submitted.models;
  accept();
  effect(JobStarted{job->job, job->submitted.participant, event.epoch});
}

void Application::remember_run(const JobFacts& job, const SlotFacts& slot, std::uint64_t gpu_ms) {
  const std::uint64_t signature = job.submitted.signature;
  auto found = state_.runs.find(signature);
  if (found == state_.runs.end()) {
    if (state_.runs.size() >= state_.limits.run_histories_max) {
      const auto oldest = state_.runs_by_age.begin();
      state_.runs.erase(oldest->second);
      state_.runs_by_age.erase(oldest);
    }
    found = state_.runs.emplace(signature, RunHistory{}).first;
    found->second.signature = signature;
  } else {
    state_.runs_by_age.erase({found->second.used, signature});
  }
  RunHistory& history = found->second;
  history.used = entry_.sequence;
  state_.runs_by_age.insert({history.used, signature});
  if (history.runs.size() >= state_.limits.runs_per_history_max) history.runs.erase(history.runs.begin());
  history.runs.push_back(RunSample{slot.kind, job.lease->loads, gpu_ms});
}

void Application::make_slot_idle(SlotFacts& slot) {
  slot.state = SlotState::idle;
  slot.job = {};
  slot.epoch = {};
  slot.idle_since = entry_.time;
}

void Application::on(const Computed& event) {
  JobFacts* job = holder(event.job, event.epoch);
  if (job == nullptr) return;
  if (job->lease->computed) return refuse(NoEffect::nothing_to_change);
  LeaseFacts& lease = *job->lease;
  const auto since_leased =
      static_cast<std::uint64_t>(std::max<std::int64_t>((entry_.time - lease.since).count(), 0));
  const std::uint64_t gpu_ms = std::min(event.gpu_ms, since_leased);
  if (SlotFacts* slot = state_.find(lease.slot);
      slot != nullptr && slot->job == job->job && slot->epoch == event.epoch) {
    remember_run(*job, *slot, gpu_ms);
    const std::uint32_t speed = state_.workers.at(lease.slot.worker).speed_milli;
    state_.estimates.add(job->submitted.signature, speed, lease.loads, gpu_ms);
    for (const std::string& model : job->submitted.models) {
      std::erase(slot->holds, model);
      slot->holds.push_back(model);
    }
    if (slot->holds.size() > state_.limits.holds_max) {
      slot->holds.erase(slot->holds.begin(),
                        slot->holds.end() - static_cast<std::ptrdiff_t>(state_.limits.holds_max));
    }
    if (slot->state == SlotState::busy) make_slot_idle(*slot);
  }
  pay(*job, gpu_ms);
  state_.unindex(*job);
  lease.computed = true;
  state_.index(*job);
  accept();
  effect(JobComputed{job->job, job->submitted.participant, lease.slot, event.epoch});
}

void Application::pay(JobFacts& job, std::uint64_t ran_ms) {
  const LeaseFacts& lease = *job.lease;
  ParticipantFacts& participant = state_.participant(job.submitted.participant);
  const std::uint64_t paid = lease.computed ? job.paid_ms : 0;
  participant.used_ms += ran_ms - std::min(paid, participant.used_ms + ran_ms);
  job.paid_ms = ran_ms;
  if (lease.charge_ms == 0) return;  // the instructor's
  const auto weight = static_cast<std::int64_t>(std::max<std::uint32_t>(participant.weight_milli, 1));
  const std::uint64_t charged = lease.computed ? paid : lease.charge_ms;
  const std::int64_t difference =
      (static_cast<std::int64_t>(ran_ms) - static_cast<std::int64_t>(charged)) * 1000 / weight;
  participant.tag = static_cast<std::uint64_t>(
      std::max<std::int64_t>(static_cast<std::int64_t>(participant.tag) + difference, 0));
  state_.turn_changed(job.submitted.participant);
}

void Application::drop_lease(JobFacts& job) {
  if (!job.lease) return;
  const LeaseFacts lease = *job.lease;
  if (SlotFacts* slot = state_.find(lease.slot);
      slot != nullptr && slot->job == job.job && slot->epoch == lease.epoch) {
    // It gets nothing until its agent says that it is idle (core.md 5).
    if (slot->state == SlotState::busy) slot->state = SlotState::stopping;
  }
  job.lease.reset();
  effect(LeaseDropped{job.job, lease.epoch});
}

void Application::requeue(JobFacts& job, QueueCause cause) {
  job.state = job.held || job.cancel_at ? JobState::held : JobState::queued;
  job.at_head = true;
  job.queued_since = entry_.time;
  job.passed_since.reset();
  state_.index(job);
  effect(JobQueued{job.job, job.submitted.participant, cause});
}

void Application::on(const Ended& event) {
  JobFacts* job = state_.find(event.job);
  if (job == nullptr) return refuse(NoEffect::already_ended);
  if (event.epoch && (!job->lease || job->lease->epoch != event.epoch)) return refuse(NoEffect::stale_epoch);
  state_.unindex(*job);
  leave_list(job->job);
  JobEnded ended;
  ended.facts = *job;  // with its lease: what ran, and where
  const std::optional<LeaseFacts> lease = job->lease;
  // Ended by the workshop while an agent holds it: the agent is told. An agent's own end without `computed`
  // leaves the slot stopping until its slot_idle; a computed one is idle already.
  const bool stop = lease && !event.epoch;
  if (lease && !lease->computed) {
    // A cancelled one pays what it ran, others nothing; what is computed is paid.
    const bool ran = event.outcome == Outcome::cancelled && lease->started;
    pay(*job,
        ran ? static_cast<std::uint64_t>(std::max<std::int64_t>((entry_.time - lease->started_at).count(), 0))
            : 0);
  }
  drop_lease(*job);
  accept();
  if (stop) {
    const WorkerFacts& worker = state_.workers.at(lease->slot.worker);
    effect(
        StopWanted{job->job, lease->epoch, lease->slot, worker.link, std::string(to_string(event.reason))});
  }
  switch (event.outcome) {
    case Outcome::succeeded:
      ++state_.workshop.succeeded;
      break;
    case Outcome::failed:
      ++state_.workshop.failed;
      break;
    case Outcome::cancelled:
      ++state_.workshop.cancelled;
      break;
  }
  ended.outcome = event.outcome;
  ended.reason = event.reason;
  ended.sentence = event.sentence;
  ended.report = event.report;
  ended.wall = entry_.wall;
  ended.time = entry_.time;
  state_.given_back.erase(event.job);
  state_.jobs.erase(event.job);
  effect(std::move(ended));
}

void Application::on(const Returned& event) {
  JobFacts* job = holder(event.job, event.epoch);
  if (job == nullptr) return;
  state_.unindex(*job);
  ++job->losses;
  GivenBack& given_back = state_.given_back[event.job];
  given_back.worker = job->lease->slot.worker;
  given_back.reason = event.reason;
  if (event.reason == ReturnReason::input_not_fetched) ++given_back.without_input;
  pay(*job, 0);
  drop_lease(*job);
  accept();
  requeue(*job, QueueCause::returned);
}

void Application::on(const LeaseExpired& event) {
  JobFacts* job = holder(event.job, event.epoch);
  if (job == nullptr) return;
  // The lease moved to another link when the worker dialled in again: the old link's deadline is void.
  if (event.link && job->lease->link != event.link) return refuse(NoEffect::stale_link);
  state_.unindex(*job);
  const LeaseFacts lease = *job->lease;
  const WorkerFacts& worker = state_.workers.at(lease.slot.worker);
  // A death counts only after `started`, when the engine died or the boot changed (core.md 5).
  const bool died = event.reason == LossReason::restarted || event.reason == LossReason::engine_died;
  if (died && lease.started && !lease.computed) {
    ++job->deaths;
  } else {
    ++job->losses;
  }
  pay(*job, 0);
  drop_lease(*job);
  // The hello of another boot does not list the job: nothing runs in its slot, and nobody will say so again.
  if (SlotFacts* slot = state_.find(lease.slot); slot != nullptr && event.reason == LossReason::restarted &&
                                                 slot->state == SlotState::stopping &&
                                                 slot->job == event.job) {
    make_slot_idle(*slot);
    // An agent that has not seen its engine yet gives no start of it; engine_ready follows.
    if (slot->engine_start == 0) slot->state = SlotState::engine_lost;
  }
  accept();
  if (!died) {
    effect(StopWanted{job->job, lease.epoch, lease.slot, worker.link, std::string(to_string(event.reason))});
  }
  if (const auto before = state_.given_back.find(event.job); before != state_.given_back.end())
    before->second.reason = ReturnReason::draining;  // what came last is told
  requeue(*job, QueueCause::lease_lost);
}

void Application::on(const CancelRequested& event) {
  JobFacts* job = state_.find(event.job);
  if (job == nullptr) return refuse(NoEffect::unknown_job);
  if (job->cancel_requested) return refuse(NoEffect::nothing_to_change);
  state_.unindex(*job);
  job->cancel_requested = entry_.time;
  state_.index(*job);
  accept();
  if (job->lease) {
    const WorkerFacts& worker = state_.workers.at(job->lease->slot.worker);
    effect(StopWanted{job->job, job->lease->epoch, job->lease->slot, worker.link, "cancelled"});
  }
  effect(JobMarked{job->job, job->submitted.participant});
}

void Application::on(const CancelScheduled& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (job->cancel_at || job->cancel_requested) return refuse(NoEffect::nothing_to_change);
  state_.unindex(*job);
  job->cancel_at = event.at;
  job->state = JobState::held;
  state_.index(*job);
  accept();
  effect(JobMarked{job->job, job->submitted.participant});
}

void Application::on(const CancelUndone& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (!job->cancel_at) return refuse(NoEffect::nothing_to_change);
  state_.unindex(*job);
  job->cancel_at.reset();
  if (!job->held) job->state = JobState::queued;
  state_.index(*job);
  accept();
  effect(JobQueued{job->job, job->submitted.participant, QueueCause::released});
}

void Application::leave_list(JobId job) {
  std::vector<JobId>& moved = state_.workshop.moved;
  std::vector<JobId>& along = state_.workshop.moved_along;
  std::erase(moved, job);
  std::erase(along, job);
  while (!moved.empty() && std::erase(along, moved.back()) > 0) moved.pop_back();
}

void Application::on(const Moved& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (event.ahead.size() > state_.limits.moved_max) return refuse(NoEffect::container_full);
  std::vector<JobId> moved = state_.workshop.moved;
  std::vector<JobId> along = state_.workshop.moved_along;
  std::erase(moved, event.job);
  std::erase(along, event.job);
  for (JobId id : event.ahead) {
    const JobFacts* other = state_.find(id);
    if (id == event.job || other == nullptr || other->lease || std::ranges::find(moved, id) != moved.end())
      continue;
    moved.push_back(id);
    along.push_back(id);
  }
  if (moved.size() >= state_.limits.moved_max) return refuse(NoEffect::container_full);
  auto place = moved.end();
  if (event.place == MovePlace::first) place = moved.begin();
  if (event.place == MovePlace::before || event.place == MovePlace::after) {
    if (event.anchor == event.job) return refuse(NoEffect::bad_value);
    place = std::ranges::find(moved, event.anchor);
    if (place == moved.end()) return refuse(NoEffect::unknown_job);
    if (event.place == MovePlace::after) ++place;
  }
  moved.insert(place, event.job);
  while (std::erase(along, moved.back()) > 0) moved.pop_back();
  state_.workshop.moved = std::move(moved);
  state_.workshop.moved_along = std::move(along);
  accept();
  effect(JobMarked{job->job, job->submitted.participant});
}

void Application::on(const MoveUndone& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (std::ranges::find(state_.workshop.moved, event.job) == state_.workshop.moved.end())
    return refuse(NoEffect::nothing_to_change);
  leave_list(event.job);
  accept();
  effect(JobMarked{job->job, job->submitted.participant});
}

void Application::on(const JobHeld& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (job->held) return refuse(NoEffect::nothing_to_change);
  state_.unindex(*job);
  job->held = true;
  job->state = JobState::held;
  state_.index(*job);
  accept();
  effect(JobMarked{job->job, job->submitted.participant});
}

void Application::on(const JobReleased& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (!job->held) return refuse(NoEffect::nothing_to_change);
  state_.unindex(*job);
  job->held = false;
  if (!job->cancel_at) job->state = JobState::queued;
  state_.index(*job);
  state_.participant(job->submitted.participant).floor = state_.workshop.virtual_time;
  state_.turn_changed(job->submitted.participant);
  accept();
  effect(JobQueued{job->job, job->submitted.participant, QueueCause::released});
}

void Application::on(const JobChanged& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  state_.unindex(*job);
  job->submitted.priority = event.priority;
  job->submitted.pinned_worker = event.pinned_worker;
  job->submitted.tags = event.tags;
  state_.index(*job);
  accept();
  effect(JobMarked{job->job, job->submitted.participant});
}

void Application::on(const JobReordered& event) {
  JobFacts* job = waiting_job(event.job);
  if (job == nullptr) return;
  if (!std::isfinite(event.number)) return refuse(NoEffect::bad_value);
  if (job->number == event.number && job->at_head == event.at_head)
    return refuse(NoEffect::nothing_to_change);
  state_.unindex(*job);
  job->number = event.number;
  job->at_head = event.at_head;
  state_.index(*job);
  accept();
  effect(JobMarked{job->job, job->submitted.participant});
}

}  // namespace atelier::core
