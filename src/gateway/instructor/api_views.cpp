// SPDX-License-Identifier: MIT
#include "gateway/instructor/api_views.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "comfy/json.hpp"

namespace atelier::gateway {
namespace {

using comfy::quote_json;

std::string time_or_null(std::int64_t ms) { return ms > 0 ? fmt::format("{}", ms) : "null"; }

/// Members that live and ended jobs have, in one order.
struct JobMembers {
  JobId job;
  ParticipantId participant;
  std::string_view prompt_id, workflow_id, state;
  std::string priority = "null", held = "false", cancel_at = "null", cancel_requested = "false";
  std::string pinned_worker = "null", tags = "[]", models = "null", inputs = "null";
  std::string worker = "null", slot = "null", epoch = "null", deaths = "null", losses = "null";
  std::int64_t submitted = 0, started = 0, ended = 0;
  std::string reason = "null", sentence = "null";
  std::uint64_t outputs = 0;

  [[nodiscard]] std::string print() const {
    return fmt::format(
        R"({{"job":{},"participant":{},"prompt_id":{},"workflow_id":{},"state":"{}","priority":{},"held":{},)"
        R"("cancel_at":{},"cancel_requested":{},"pinned_worker":{},"tags":{},"models":{},"inputs":{},)"
        R"("worker":{},"slot":{},"epoch":{},"deaths":{},"losses":{},"submitted_at":{},"started_at":{},)"
        R"("ended_at":{},"reason":{},"sentence":{},"outputs":{}}})",
        job, participant, quote_json(prompt_id), quote_json(workflow_id), state, priority, held, cancel_at,
        cancel_requested, pinned_worker, tags, models, inputs, worker, slot, epoch, deaths, losses, submitted,
        time_or_null(started), time_or_null(ended), reason, sentence, outputs);
  }
};

std::string_view bool_text(bool value) { return value ? "true" : "false"; }

bool is_held(const core::Core& core, ParticipantId owner) {
  if (core.workshop().everyone_held && owner) return true;
  const core::ParticipantFacts* facts = core.participant(owner);
  return facts != nullptr && facts->held;
}

}  // namespace

WallTime WallClock::of(const core::Core& core, Time time) {
  constexpr std::int64_t kWaveringMs = 500;
  const core::WorkshopFacts& workshop = core.workshop();
  const std::int64_t ahead = workshop.last_wall.ms - workshop.last_time.ms;
  if (!ahead_ms_ || std::abs(ahead - *ahead_ms_) > kWaveringMs) ahead_ms_ = ahead;
  return {time.ms + *ahead_ms_};
}

core::JobState shown_state(const core::Core& core, const core::JobFacts& job) {
  const bool queued = job.state == core::JobState::queued;
  return queued && is_held(core, job.submitted.participant) ? core::JobState::held : job.state;
}

bool has_turn(const core::Core& core, const core::JobFacts& job) {
  if (job.cancel_at || job.cancel_requested || shown_state(core, job) != core::JobState::queued) return false;
  const core::ParticipantFacts* owner = core.participant(job.submitted.participant);
  return owner == nullptr || owner->allowance_ms == 0 || owner->used_ms < owner->allowance_ms;
}

std::string job_view(const core::Core& core, const core::JobFacts& job, WallClock& clock) {
  const core::Submitted& submitted = job.submitted;
  JobMembers members{.job = job.job,
                     .participant = submitted.participant,
                     .prompt_id = submitted.prompt_id,
                     .workflow_id = submitted.workflow_id,
                     .state = core::to_string(shown_state(core, job))};
  members.priority = quote_json(core::to_string(submitted.priority));
  members.held = bool_text(job.held);
  if (job.cancel_at) members.cancel_at = fmt::format("{}", clock.of(core, *job.cancel_at).ms);
  members.cancel_requested = bool_text(job.cancel_requested.has_value());
  if (!submitted.pinned_worker.empty()) members.pinned_worker = quote_json(submitted.pinned_worker);
  members.tags = comfy::quote_json_list(submitted.tags);
  members.models = comfy::quote_json_list(submitted.models);
  members.inputs = fmt::format("{}", submitted.input_count);
  if (job.lease) {
    if (const auto* worker = core.worker(job.lease->slot.worker)) members.worker = quote_json(worker->name);
    members.slot = fmt::format("{}", job.lease->slot.index);
    members.started = job.lease->started_wall.ms;
  }
  members.epoch = fmt::format("{}", job.epoch);
  members.deaths = fmt::format("{}", job.deaths);
  members.losses = fmt::format("{}", job.losses);
  members.submitted = job.submitted_wall.ms;
  for (const core::NodeCommit& commit : job.commits) members.outputs += commit.summary.outputs;
  return members.print();
}

std::string job_view(const core::Summary& summary) {
  JobMembers members{.job = summary.job,
                     .participant = summary.participant,
                     .prompt_id = summary.prompt_id,
                     .workflow_id = summary.workflow_id,
                     .state = core::to_string(summary.outcome)};
  members.submitted = summary.created.ms;
  members.started = summary.started.ms;
  members.ended = summary.ended.ms;
  members.reason = quote_json(core::to_string(summary.reason));
  if (!summary.sentence.empty()) members.sentence = quote_json(summary.sentence);
  for (const core::HistoryNode& node : summary.nodes) members.outputs += node.summary.outputs;
  return members.print();
}

std::string queue_view(const core::Core& core, std::uint64_t num_users) {
  const core::WorkshopFacts& workshop = core.workshop();
  std::size_t leased = 0, running = 0, queued = 0;
  const auto count_queued = [&core](ParticipantId owner) {
    std::size_t count = 0;
    core.each_job_of(owner, [&](const core::JobFacts& job) { count += job.state == core::JobState::queued; });
    return count;
  };
  // Jobs are counted one by one only where that is the shorter way.
  if (!workshop.everyone_held) queued = core.jobs_waiting();
  for (std::uint64_t n = 0; n <= num_users; ++n) {
    const ParticipantId owner{n};
    const core::LaneCounts counts = core.counts(owner);
    leased += counts.leased;
    running += counts.running;
    const bool held = is_held(core, owner);
    if (workshop.everyone_held && !held) queued += count_queued(owner);
    if (!workshop.everyone_held && held && counts.waiting > 0) queued -= count_queued(owner);
  }
  const std::size_t taken = queued + leased + running;
  std::string moved;
  for (const JobId job : workshop.moved) {
    if (std::ranges::find(workshop.moved_along, job) != workshop.moved_along.end()) continue;
    moved += fmt::format("{}{}", moved.empty() ? "" : ",", job);
  }
  return fmt::format(
      R"({{"mode":"{}","paused":{},"held":{},"moved":[{}],"jobs":{{"queued":{},"held":{},"leased":{},)"
      R"("running":{},"succeeded":{},"failed":{},"cancelled":{}}}}})",
      core::to_string(workshop.mode), workshop.paused, workshop.everyone_held, moved, queued,
      core.jobs_live() > taken ? core.jobs_live() - taken : 0, leased, running, workshop.succeeded,
      workshop.failed, workshop.cancelled);
}

std::string participant_view(const core::Core& core, ParticipantId participant) {
  static const core::ParticipantFacts nobody_yet;
  const core::ParticipantFacts* known = core.participant(participant);
  const core::ParticipantFacts& facts = known == nullptr ? nobody_yet : *known;
  const core::LaneCounts counts = core.counts(participant);
  return fmt::format(
      R"({{"participant":{},"held":{},"waiting_max":{},"running_max":{},"weight_milli":{},"allowance_ms":{},)"
      R"("used_ms":{},"priority":"{}","pinned_worker":{},"waiting":{},"leased":{},"running":{}}})",
      participant, facts.held, facts.waiting_max, facts.running_max, facts.weight_milli, facts.allowance_ms,
      facts.used_ms, core::to_string(facts.priority), quote_json(facts.pinned_worker), counts.waiting,
      counts.leased, counts.running);
}

std::string worker_view(const core::Core& core, const core::WorkerFacts& worker) {
  std::string slots;
  for (const core::SlotFacts& slot : worker.slots) {
    const core::JobFacts* job = core.job(slot.job);
    slots += fmt::format(
        R"({}{{"slot":{},"state":"{}","job":{},"engine_version":{},"kind":{},"vram_mib":{},"holds":{}}})",
        slots.empty() ? "" : ",", slot.index, core::to_string(slot.state),
        job == nullptr ? "null" : fmt::format("{}", job->job), quote_json(slot.engine_version),
        quote_json(slot.kind), slot.vram_mib, comfy::quote_json_list(slot.holds));
  }
  const core::WorkerKeyFacts* key = core.worker_key(worker.name);
  return fmt::format(
      R"({{"worker":{},"connected":{},"draining":{},"paused":{},"enrolled":{},"tags":{},"speed_milli":{},)"
      R"("slots":[{}]}})",
      quote_json(worker.name), static_cast<bool>(worker.link), worker.draining, worker.paused,
      key != nullptr && !key->revoked, comfy::quote_json_list(worker.tags), worker.speed_milli, slots);
}

std::string enrolment_view(const core::EnrolmentFacts& enrolment, Time now) {
  std::string_view state = "open";
  if (enrolment.state == core::EnrolmentState::used) state = "used";
  if (enrolment.state == core::EnrolmentState::revoked) state = "revoked";
  if (enrolment.state == core::EnrolmentState::open && now >= enrolment.expires) state = "expired";
  const auto name_or_null = [](const std::string& name) { return name.empty() ? "null" : quote_json(name); };
  std::string alarms;
  for (const core::EnrolmentMisuse& misuse : enrolment.misuses) {
    alarms += fmt::format(R"({}{{"reason":"{}","worker":{},"at":{}}})", alarms.empty() ? "" : ",",
                          core::to_string(misuse.verdict), quote_json(misuse.worker), misuse.wall.ms);
  }
  return fmt::format(
      R"({{"enrolment":{},"state":"{}","worker":{},"by":{},"made_at":{},"expires_at":{},"used_by":{},)"
      R"("over_at":{},"alarms":[{}]}})",
      enrolment.enrolment, state, name_or_null(enrolment.worker), quote_json(enrolment.by),
      enrolment.made_wall.ms, enrolment.expires_wall.ms, name_or_null(enrolment.used_by),
      time_or_null(enrolment.over_wall.ms), alarms);
}

std::string readings_view(const WorkerReadings& readings) {
  const auto number = [](const std::optional<std::uint64_t>& value) {
    return value ? fmt::format("{}", *value) : std::string("null");
  };
  std::vector<std::string> gpus, slots;
  for (const link::GpuReading& gpu : readings.telemetry.gpus.value_or(std::vector<link::GpuReading>())) {
    gpus.push_back(fmt::format(
        R"({{"name":{},"memory_total":{},"memory_used":{},"load_percent":{},"temperature_celsius":{},)"
        R"("power_milliwatts":{},"power_limit_milliwatts":{}}})",
        quote_json(gpu.name), gpu.memory_total, gpu.memory_used, number(gpu.load_percent),
        number(gpu.temperature_celsius), number(gpu.power_milliwatts), number(gpu.power_limit_milliwatts)));
  }
  for (const link::TelemetrySlot& slot : readings.telemetry.slots) {
    slots.push_back(fmt::format(
        R"({{"slot":{},"device":{},"vram_total":{},"vram_free":{},"queue_remaining":{}}})", slot.slot,
        quote_json(slot.device), slot.vram_total, slot.vram_free, number(slot.queue_remaining)));
  }
  return fmt::format(
      R"({{"at":{},"disk_free":{},"clock_ahead_ms":{},"gpus":{},"slots":[{}]}})", readings.at.ms,
      readings.telemetry.disk_free,
      readings.ahead_ms ? fmt::format("{}", *readings.ahead_ms) : std::string("null"),
      readings.telemetry.gpus ? fmt::format("[{}]", fmt::join(gpus, ",")) : std::string("null"),
      fmt::join(slots, ","));
}

std::string as_of(const core::Core& core) {
  return fmt::format(R"("sequence":{},"time":{})", core.workshop().last_sequence,
                     core.workshop().last_wall.ms);
}

}  // namespace atelier::gateway
