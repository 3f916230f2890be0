// SPDX-License-Identifier: MIT
#include "simulate/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <queue>
#include <utility>
#include <variant>
#include <vector>

#include "base/assert.hpp"
#include "core/core.hpp"
#include "core/eta_errors.hpp"
#include "core/forecast.hpp"

namespace atelier::simulate {
namespace {

using SteadyClock = std::chrono::steady_clock;

class Replay {
 public:
  Replay(const Trace& trace, const ReplayOptions& options)
      : trace_(trace), options_(options), core_(limits_for(trace)) {}
  Schedule run();

 private:
  /// At one instant in this order.
  enum class What : std::uint8_t { run_ends, fault, lease_runs_out, submission, wake };
  struct Happening {
    std::int64_t time;
    What what;
    std::uint64_t number;  // order of creation
    std::size_t subject;   // run, fault or job
    auto operator<=>(const Happening&) const = default;
  };
  /// The machine: what core cannot see of it.
  struct Machine {
    WorkerId worker;
    LinkId link;
    std::uint64_t boot = 0;
    bool alive = true, reachable = true;
    std::optional<std::size_t> model_set;  // that it holds
    std::optional<std::size_t> run;        // under way, or finished and not told yet
    bool finished = false;                 // it is
    std::int64_t finished_at = 0;
    bool rebooted = false;         // while nobody could reach it
    std::int64_t lease_until = 0;  // when the lease of its run runs out, once it went silent
  };

  void at(std::int64_t time, What what, std::size_t subject) {
    happenings_.push({time, what, ++created_, subject});
  }
  std::vector<core::Effect> apply(core::Event event);
  void open_workshop();
  void join(std::size_t worker, bool new_boot);
  void on(const Happening& happening);
  void submit(std::size_t job);
  void end_run(std::size_t run);
  void commit(std::size_t run);
  void on_fault(const Fault& fault);
  void die(Machine& machine);
  void come_back(std::size_t worker);
  void rejoin_with_new_boot(std::size_t worker);
  void watch_lease(Machine& machine);
  void heal(std::size_t worker);
  void run_out(std::size_t run);
  bool holds_lease(const Run& run) const;
  void expire(std::size_t run, core::LossReason reason);
  void decide();
  void foretell(std::size_t job);
  void lease(const core::Leased& leased);
  static core::Limits limits_for(const Trace& trace) {
    core::Limits limits;
    limits.jobs_max = std::max(limits.jobs_max, trace.submissions.size());
    return limits;
  }
  static JobId id_of(std::size_t job) { return JobId{job + 1}; }

  const Trace& trace_;
  const ReplayOptions& options_;
  core::Core core_;
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> happenings_;
  std::uint64_t created_ = 0, sequence_ = 0;
  std::int64_t now_ = 0;
  std::optional<std::int64_t> wake_at_;
  std::vector<Machine> machines_;
  Schedule schedule_;
  std::vector<std::int64_t> decision_ns_;
  core::EtaErrors errors_;
};

std::vector<core::Effect> Replay::apply(core::Event event) {
  const core::Entry entry{Sequence{++sequence_}, Time{now_}, WallTime{now_}, {}, std::move(event)};
  std::vector<core::Effect> effects = core_.apply(entry);
  // The trace's rules leave no room for an event that core does not take.
  for (const core::Effect& effect : effects) {
    ATELIER_ASSERT(!std::holds_alternative<core::Refused>(effect));
  }
  return effects;
}

void Replay::open_workshop() {
  apply(core::GatewayJoined{.boot = Key128{1, 1}, .alone = true, .release = {}});
  if (options_.mode != core::QueueMode::fifo) apply(core::ModeChanged{options_.mode, "simulate"});
  core::Capability capability;
  capability.hash = sha256("trace");
  capability.classes = {"image", "video"};
  for (const ModelSet& set : trace_.model_sets) {
    capability.models.push_back(set.name);
    capability.model_bytes.push_back(set.bytes);
  }
  apply(std::move(capability));
  machines_.resize(trace_.workers.size());
  for (std::size_t i = 0; i < machines_.size(); ++i) join(i, true);
}

void Replay::join(std::size_t worker, bool new_boot) {
  Machine& machine = machines_[worker];
  if (new_boot) ++machine.boot;
  core::JoinedSlot slot;
  slot.capability = sha256("trace");
  slot.kind = trace_.workers[worker].gpu;
  slot.engine_start = machine.boot;
  core::WorkerJoined joined;
  joined.name = trace_.workers[worker].name;
  joined.gateway = GatewayId{1};
  joined.boot = Key128{worker + 1, machine.boot};
  joined.slots.push_back(std::move(slot));
  joined.speed_milli = static_cast<std::uint32_t>(trace_.workers[worker].speed_milli);
  const core::WorkerFacts* const known = core_.worker(joined.name);
  joined.draining = known != nullptr && known->draining;
  for (const core::Effect& effect : apply(std::move(joined))) {
    if (const auto* const accepted = std::get_if<core::Accepted>(&effect)) {
      machine.worker = accepted->worker;
      machine.link = accepted->link;
    }
  }
}

void Replay::submit(std::size_t job) {
  const Submission& submission = trace_.submissions[job];
  core::Submitted submitted;
  submitted.participant = ParticipantId{submission.participant};
  submitted.prompt_id = fmt::format("{}", job);
  submitted.priority = submission.priority;
  submitted.models.push_back(trace_.set_of(submission).name);
  submitted.classes.emplace_back(trace_.signatures[submission.signature].video ? "video" : "image");
  submitted.signature = submission.signature + 1;
  apply(std::move(submitted));
}

bool Replay::holds_lease(const Run& run) const {
  const core::JobFacts* const job = core_.job(id_of(run.job));
  return job != nullptr && job->lease && job->lease->epoch.value == run.epoch;
}

void Replay::commit(std::size_t index) {
  Run& run = schedule_.runs[index];
  run.outcome = RunOutcome::committed;
  core::Computed computed;
  computed.job = id_of(run.job);
  computed.epoch = Epoch{run.epoch};
  computed.gpu_ms = static_cast<std::uint64_t>(run.end - run.lease);
  apply(computed);
  apply(core::Ended{.job = id_of(run.job), .epoch = Epoch{run.epoch}, .sentence = {}, .report = {}});
  errors_.ready(id_of(run.job), Time{now_});
}

void Replay::end_run(std::size_t index) {
  Run& run = schedule_.runs[index];
  Machine& machine = machines_[run.worker];
  if (machine.run != index) return;  // it died, or was stopped
  if (!machine.reachable) {
    machine.finished = true;
    machine.finished_at = now_;
    return;
  }
  machine.run.reset();
  commit(index);
}

void Replay::die(Machine& machine) {
  machine.alive = false;
  machine.model_set.reset();
  if (machine.reachable) apply(core::WorkerLeft{machine.worker, machine.link, "death"});
  if (!machine.run) return;
  Run& run = schedule_.runs[*machine.run];
  run.end = now_;
  run.outcome = RunOutcome::lost;
  if (machine.reachable) watch_lease(machine);
  machine.run.reset();
  machine.finished = false;
}

/// Its worker went silent: from now on the lease of its run has `lease_ms`.
void Replay::watch_lease(Machine& machine) {
  machine.lease_until = now_ + trace_.lease_ms;
  at(machine.lease_until, What::lease_runs_out, *machine.run);
}

void Replay::expire(std::size_t index, core::LossReason reason) {
  Run& run = schedule_.runs[index];
  run.requeued = now_;
  apply(core::LeaseExpired{id_of(run.job), Epoch{run.epoch}, LinkId{}, reason});
}

void Replay::come_back(std::size_t worker) {
  Machine& machine = machines_[worker];
  machine.alive = true;
  machine.rebooted = true;
  if (machine.reachable) rejoin_with_new_boot(worker);  // else nobody hears it yet
}

void Replay::rejoin_with_new_boot(std::size_t worker) {
  machines_[worker].rebooted = false;
  join(worker, true);
  for (std::size_t i = 0; i < schedule_.runs.size(); ++i) {
    if (schedule_.runs[i].worker == worker && holds_lease(schedule_.runs[i]))
      expire(i, core::LossReason::restarted);
  }
}

void Replay::heal(std::size_t worker) {
  Machine& machine = machines_[worker];
  machine.reachable = true;
  if (!machine.alive) return;
  if (machine.rebooted) return rejoin_with_new_boot(worker);
  const std::optional<std::size_t> index = machine.run;
  join(worker, false);
  if (!index) return;
  Run& run = schedule_.runs[*index];
  if (holds_lease(run)) {
    if (!std::exchange(machine.finished, false)) return;
    machine.run.reset();
    run.end = now_;
    commit(*index);
    return;
  }
  // A ghost: its job was given away.
  run.outcome = machine.finished ? RunOutcome::refused : RunOutcome::lost;
  run.end = machine.finished ? machine.finished_at : now_;
  machine.finished = false;
  machine.run.reset();
}

void Replay::run_out(std::size_t index) {
  const Run& run = schedule_.runs[index];
  const Machine& machine = machines_[run.worker];
  if (!holds_lease(run) || now_ < machine.lease_until) return;
  if (machine.run == index && machine.reachable) return;  // healed in time
  expire(index, core::LossReason::link_expired);
}

void Replay::on_fault(const Fault& fault) {
  Machine& machine = machines_[fault.worker];
  switch (fault.kind) {
    case FaultKind::death:
      if (machine.alive) die(machine);
      return;
    case FaultKind::comes_back:
      if (!machine.alive) come_back(fault.worker);
      return;
    case FaultKind::drain:
    case FaultKind::undrain: {
      const bool drains = fault.kind == FaultKind::drain;
      if (core_.worker(machine.worker)->draining != drains)
        apply(core::WorkerDraining{machine.worker, drains, "trace"});
      return;
    }
    case FaultKind::partition:
      if (!machine.reachable) return;
      machine.reachable = false;
      if (!machine.alive) return;
      apply(core::WorkerLeft{machine.worker, machine.link, "partition"});
      if (machine.run) watch_lease(machine);
      return;
    case FaultKind::heal:
      if (!machine.reachable) heal(fault.worker);
      return;
  }
}

void Replay::lease(const core::Leased& leased) {
  Run run;
  run.job = leased.job.value - 1;
  run.worker = leased.slot.worker.value - 1;
  run.epoch = leased.epoch.value;
  Machine& machine = machines_[run.worker];
  const Submission& submission = trace_.submissions[run.job];
  const std::size_t set = trace_.signatures[submission.signature].model_set;
  run.loaded = machine.model_set != set;
  machine.model_set = set;
  run.lease = now_;
  run.start = now_ + (run.loaded ? trace_.model_sets[set].load_ms : 0);
  run.end = run.start + trace_.run_ms(run.job, run.worker);
  run.outcome = RunOutcome::lost;  // until it is committed
  for (const JobId job : leased.passed) run.passed.push_back(job.value - 1);
  machine.run = schedule_.runs.size();
  at(run.end, What::run_ends, schedule_.runs.size());
  schedule_.runs.push_back(std::move(run));
  apply(core::Started{leased.job, leased.epoch});
}

void Replay::decide() {
  while (true) {
    const auto before = options_.measure ? SteadyClock::now() : SteadyClock::time_point{};
    const core::Decision decision = core_.decide(Time{now_}, options_.affinity);
    if (options_.measure) {
      decision_ns_.push_back(
          std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - before).count());
    }
    if (decision.proposals.empty()) {
      if (decision.next_at && decision.next_at->ms > now_ && wake_at_ != decision.next_at->ms) {
        wake_at_ = decision.next_at->ms;
        at(*wake_at_, What::wake, 0);
      }
      return;
    }
    for (const core::Event& proposal : decision.proposals) {
      apply(proposal);
      if (const auto* const leased = std::get_if<core::Leased>(&proposal)) lease(*leased);
    }
  }
}

void Replay::foretell(std::size_t job) {
  const core::QueueCopy queue = core_.copy_queue(Time{now_}, options_.affinity);
  core::ForecastOptions options;
  options.seed = options_.seed + job;
  options.only = id_of(job);
  const std::vector<core::JobForecast> jobs = core::forecast(queue, options);
  ATELIER_ASSERT(jobs.size() == 1);
  if (jobs[0].ready_ms.empty()) return;
  const std::int64_t middle = jobs[0].middle_ms();
  const double stretch = errors_.spread(Time{now_}).stretch(middle);
  schedule_.etas.push_back(
      {job, now_, middle, static_cast<std::int64_t>(static_cast<double>(middle) * stretch)});
  errors_.foretold(id_of(job), Time{now_}, middle);
}

void Replay::on(const Happening& happening) {
  switch (happening.what) {
    case What::run_ends:
      return end_run(happening.subject);
    case What::fault:
      return on_fault(trace_.faults[happening.subject]);
    case What::lease_runs_out:
      return run_out(happening.subject);
    case What::submission:
      return submit(happening.subject);
    case What::wake:
      wake_at_.reset();
      return;
  }
}

Schedule Replay::run() {
  const auto began = SteadyClock::now();
  schedule_.trace = trace_.name;
  schedule_.policy = std::string(core::to_string(options_.mode));
  open_workshop();
  for (std::size_t i = 0; i < trace_.faults.size(); ++i) at(trace_.faults[i].time, What::fault, i);
  for (std::size_t i = 0; i < trace_.submissions.size(); ++i)
    at(trace_.submissions[i].time, What::submission, i);
  while (!happenings_.empty()) {
    now_ = happenings_.top().time;
    std::vector<std::size_t> submitted;
    while (!happenings_.empty() && happenings_.top().time == now_) {
      const Happening happening = happenings_.top();
      happenings_.pop();
      on(happening);
      if (happening.what == What::submission) submitted.push_back(happening.subject);
    }
    decide();
    if (!options_.etas) continue;
    for (const std::size_t job : submitted) foretell(job);
  }
  if (options_.measure && !decision_ns_.empty()) {
    const auto rank = decision_ns_.begin() + static_cast<std::ptrdiff_t>(decision_ns_.size() * 99 / 100);
    std::ranges::nth_element(decision_ns_, rank);
    schedule_.decision_p99_ns = *rank;
    schedule_.wall_ms = std::chrono::duration_cast<milliseconds>(SteadyClock::now() - began).count();
  }
  return std::move(schedule_);
}

}  // namespace

Schedule replay(const Trace& trace, const ReplayOptions& options) { return Replay(trace, options).run(); }

}  // namespace atelier::simulate
