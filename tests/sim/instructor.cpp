// SPDX-License-Identifier: MIT
#include "instructor.hpp"

#include "probe.hpp"

namespace atelier::sim {
namespace {

constexpr const char* kBy = "instructor";

}  // namespace

void Instructor::plan(std::size_t acts, std::size_t participants, milliseconds span) {
  participants_ = participants;
  // Mostly one mode all day; it is chosen before the first prompt or a little after.
  if (random_.chance(850)) world_.after(random_.ms(0, 10'000), [this] { choose_mode(); });
  for (std::size_t i = 0; i < acts; ++i) world_.after(random_.ms(5'000, span.count()), [this] { act(); });
}

std::vector<const core::JobFacts*> Instructor::waiting() const {
  std::vector<const core::JobFacts*> jobs;
  server_->core().each_job([&](const core::JobFacts& job) {
    if (!job.lease) jobs.push_back(&job);
  });
  return jobs;
}

void Instructor::act() {
  if (server_ == nullptr || !server_->accepting()) return;
  if (random_.chance(700)) {
    act_on_job();
  } else {
    act_on_workshop();
  }
}

void Instructor::act_on_job() {
  const auto jobs = waiting();
  if (jobs.empty()) return;
  const core::JobFacts& job = *jobs[random_.below(jobs.size())];
  switch (random_.below(8)) {
    case 0:
    case 1:
      hold_or_release();
      break;
    case 2:
    case 3:
    case 4:
      move();
      break;
    case 5:
      change(job);
      break;
    case 6:
      cancel_with_undo(job.job);
      break;
    default:
      server_->cancel(job.job);
      break;
  }
}

void Instructor::act_on_workshop() {
  const core::WorkshopFacts& workshop = server_->core().workshop();
  switch (random_.below(8)) {
    case 0:
      choose_mode();
      break;
    case 1: {
      core::Paused event;
      event.paused = !workshop.paused;
      event.by = kBy;
      if (event.paused) SIM_PROBE("paused");
      post(std::move(event));
      break;
    }
    case 2:
    case 3: {
      const ParticipantId participant = anybody();
      const core::ParticipantFacts* facts = server_->core().participant(participant);
      core::ParticipantHeld event;
      event.participant = participant;
      event.held = facts == nullptr || !facts->held;
      event.by = kBy;
      if (!event.held) SIM_PROBE("participant_released");
      post(std::move(event));
      break;
    }
    case 4:
      worker();
      break;
    default:
      limit();
      break;
  }
}

void Instructor::choose_mode() {
  core::ModeChanged event;
  event.mode = static_cast<core::QueueMode>(random_.below(3));
  event.by = kBy;
  if (server_ == nullptr || !server_->accepting()) {
    world_.after(milliseconds{2'000}, [this] { choose_mode(); });
    return;
  }
  if (server_->core().jobs_waiting() > 0 && server_->core().workshop().mode != event.mode)
    SIM_PROBE("mode_switched");
  post(std::move(event));
}

void Instructor::hold_or_release() {
  const auto jobs = waiting();
  const core::JobFacts& job = *jobs[random_.below(jobs.size())];
  if (job.held) {
    SIM_PROBE("job_released");
    post(core::JobReleased{job.job, kBy});
  } else {
    post(core::JobHeld{job.job, kBy});
  }
}

void Instructor::move() {
  const auto jobs = waiting();
  const std::vector<JobId>& moved = server_->core().workshop().moved;
  if (!moved.empty() && random_.chance(250)) {
    SIM_PROBE("move_undone");
    post(core::MoveUndone{moved[random_.below(moved.size())], kBy});
    return;
  }
  core::Moved event;
  event.job = jobs[random_.below(jobs.size())]->job;
  event.place = static_cast<core::MovePlace>(random_.below(4));
  event.by = kBy;
  if (!moved.empty()) event.anchor = moved[random_.below(moved.size())];
  const bool beside = event.place == core::MovePlace::before || event.place == core::MovePlace::after;
  if (beside && event.anchor && event.anchor != event.job) SIM_PROBE("moved_beside_another");
  post(std::move(event));
}

void Instructor::change(const core::JobFacts& job) {
  core::JobChanged event;
  event.job = job.job;
  event.priority = static_cast<core::PriorityLevel>(random_.below(4));
  event.by = kBy;
  if (random_.chance(500)) event.pinned_worker = fmt::format("gpu-{}", random_.below(3));
  if (random_.chance(200)) event.tags = {"big"};
  post(std::move(event));
}

void Instructor::cancel_with_undo(JobId job) {
  SIM_PROBE("cancel_scheduled");
  core::CancelScheduled event;
  event.job = job;
  event.at = server_->now() + milliseconds{8'000};
  event.by = kBy;
  post(std::move(event));
  if (!random_.chance(600)) return;
  world_.after(random_.ms(0, 9'000), [this, job] {
    if (server_ == nullptr || !server_->accepting()) return;
    const core::JobFacts* facts = server_->core().job(job);
    if (facts != nullptr && facts->cancel_at) SIM_PROBE("cancel_undone");
    post(core::CancelUndone{job, kBy});
  });
}

void Instructor::limit() {
  core::ParticipantLimits event;
  event.participant = anybody();
  if (random_.chance(500)) event.running_max = static_cast<std::uint32_t>(1 + random_.below(2));
  if (random_.chance(150)) event.waiting_max = static_cast<std::uint32_t>(1 + random_.below(5));
  if (random_.chance(400)) event.allowance_ms = 1 + random_.below(20'000);
  if (random_.chance(400)) event.weight_milli = static_cast<std::uint32_t>(random_.between(300, 3'000));
  event.by = kBy;
  post(std::move(event));
}

void Instructor::worker() {
  const core::WorkerFacts* facts = server_->core().worker(fmt::format("gpu-{}", random_.below(3)));
  if (facts == nullptr) return;
  if (random_.chance(500)) return slots(*facts);
  if (random_.chance(500)) {
    core::WorkerTags event;
    event.worker = facts->worker;
    if (facts->tags.empty()) event.tags = {"big"};
    post(std::move(event));
    return;
  }
  SIM_PROBE("worker_paused");
  core::WorkerPaused event;
  event.worker = facts->worker;
  event.paused = !facts->paused;
  event.by = kBy;
  post(std::move(event));
}

void Instructor::slots(const core::WorkerFacts& worker) {
  if (worker.slots.empty() || random_.chance(500)) {
    server_->add_slot(worker.name);
  } else {
    server_->remove_slot(worker.name, worker.slots[random_.below(worker.slots.size())].index);
  }
}

void Instructor::let_go_of(ParticipantId participant, std::vector<core::Event>& events) const {
  const core::ParticipantFacts* facts = server_->core().participant(participant);
  if (facts == nullptr) return;
  if (facts->held) events.emplace_back(core::ParticipantHeld{participant, false, kBy});
  if (facts->running_max == 0 && facts->waiting_max == 0 && facts->allowance_ms == 0) return;
  core::ParticipantLimits event;
  event.participant = participant;
  event.weight_milli = facts->weight_milli;
  events.emplace_back(std::move(event));
}

void Instructor::let_go_of(const core::JobFacts& job, std::vector<core::Event>& events) {
  if (job.held) events.emplace_back(core::JobReleased{job.job, kBy});
  if (job.submitted.pinned_worker.empty() && job.submitted.tags.empty()) return;
  core::JobChanged event;
  event.job = job.job;
  event.priority = job.submitted.priority;
  events.emplace_back(std::move(event));
}

void Instructor::let_go() {
  world_.after(milliseconds{5'000}, [this] { let_go(); });
  if (server_ == nullptr || !server_->accepting()) return;
  const core::Core& core = server_->core();
  std::vector<core::Event> events;  // the first that is posted may change all of it
  if (core.workshop().paused) events.emplace_back(core::Paused{false, kBy});
  for (std::uint64_t i = 0; i <= participants_; ++i) let_go_of(ParticipantId{i}, events);
  for (const core::JobFacts* job : waiting()) let_go_of(*job, events);
  core.each_worker([&](const core::WorkerFacts& worker) {
    if (worker.paused) events.emplace_back(core::WorkerPaused{worker.worker, false, kBy});
  });
  for (core::Event& event : events) post(std::move(event));
}

}  // namespace atelier::sim
