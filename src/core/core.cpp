// SPDX-License-Identifier: MIT
#include "core/core.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.hpp"
#include "base/match.hpp"
#include "core/application.hpp"
#include "core/policy.hpp"

namespace atelier::core {

Core::Core(Limits limits) : state_(std::make_unique<State>(limits)) {}
Core::~Core() = default;
Core::Core(Core&&) noexcept = default;
Core& Core::operator=(Core&&) noexcept = default;

Result<void> Core::admit(const Event& event, const AdmissionLimits& caps, const InFlight& in_flight) const {
  const auto* submitted = std::get_if<Submitted>(&event);
  if (submitted == nullptr) return {};
  if (submitted->prompt_id.empty() || submitted->prompt_id.size() > 256) {
    return fail(Errc::bad_request, "prompt_id must have 1 to 256 bytes");
  }
  if (submitted->client_id.size() > 256)
    return fail(Errc::bad_request, "client_id must have at most 256 bytes");
  if (submitted->workflow_id.size() > 128)
    return fail(Errc::bad_request, "the workflow's id must have at most 128 bytes");
  if (submitted->classes.size() > 256 || submitted->models.size() > 64 || submitted->tags.size() > 16) {
    return fail(Errc::bad_request, "the prompt names more than 256 node classes or 64 models");
  }
  if (state_->jobs.size() + in_flight.in_all >= state_->limits.jobs_max) {
    return fail(Errc::unavailable,
                fmt::format("{} jobs are kept, the most this workshop can hold. Press Run again later.",
                            state_->limits.jobs_max));
  }
  const std::size_t waiting = jobs_waiting() + in_flight.in_all;
  if (caps.waiting_max > 0 && waiting >= caps.waiting_max) {
    return fail(
        Errc::queue_full,
        fmt::format("{} jobs are waiting, the most this workshop takes. Press Run again in a few minutes.",
                    caps.waiting_max));
  }
  const ParticipantFacts* participant = this->participant(submitted->participant);
  std::uint32_t cap = caps.waiting_per_participant_max;
  if (participant != nullptr && participant->waiting_max > 0) cap = participant->waiting_max;
  const std::uint32_t own = counts(submitted->participant).waiting + in_flight.of_participant;
  if (cap > 0 && own >= cap && submitted->participant) {
    return fail(
        Errc::queue_full,
        fmt::format("You have {} of {} jobs waiting. Press Run again when one has started, or cancel one.",
                    own, cap));
  }
  return {};
}

std::vector<Effect> Core::apply(const Entry& entry) { return Application(*state_, entry).run(); }

const WorkshopFacts& Core::workshop() const { return state_->workshop; }
const JobFacts* Core::job(JobId job) const { return state_->find(job); }

const JobFacts* Core::live(ParticipantId participant, std::string_view prompt_id) const {
  const auto owner = state_->owners.find(participant);
  if (owner == state_->owners.end()) return nullptr;
  const auto job = owner->second.by_prompt_id.find(prompt_id);
  return job == owner->second.by_prompt_id.end() ? nullptr : state_->find(job->second);
}

const ParticipantFacts* Core::participant(ParticipantId participant) const {
  const auto found = state_->participants.find(participant);
  return found == state_->participants.end() ? nullptr : &found->second;
}

const WorkerFacts* Core::worker(WorkerId worker) const {
  const auto found = state_->workers.find(worker);
  return found == state_->workers.end() ? nullptr : &found->second;
}

const WorkerFacts* Core::worker(std::string_view name) const {
  const auto found = state_->worker_names.find(name);
  return found == state_->worker_names.end() ? nullptr : worker(found->second);
}

const UnlinkedCommit* Core::unlinked(JobId job, std::string_view node) const {
  const auto found = state_->unlinked.find({job, std::string(node)});
  return found == state_->unlinked.end() ? nullptr : &found->second;
}

const EnrolmentFacts* Core::enrolment(EnrolmentId enrolment) const {
  const auto found = state_->enrolments.find(enrolment);
  return found == state_->enrolments.end() ? nullptr : &found->second;
}

const EnrolmentFacts* Core::enrolment(const Digest& token) const {
  const auto found = state_->enrolment_tokens.find(token);
  return found == state_->enrolment_tokens.end() ? nullptr : enrolment(found->second);
}

const WorkerKeyFacts* Core::worker_key(std::string_view worker) const {
  const auto found = state_->worker_keys.find(worker);
  return found == state_->worker_keys.end() ? nullptr : &found->second;
}

LaneCounts Core::counts(ParticipantId participant) const {
  const auto owner = state_->owners.find(participant);
  if (owner == state_->owners.end()) return {};
  return {owner->second.waiting_count, owner->second.leased_count, owner->second.running_count};
}

std::size_t Core::jobs_waiting() const { return state_->waiting.size(); }
std::size_t Core::jobs_live() const { return state_->jobs.size(); }
GatewayId Core::first_gateway() const {
  return state_->gateways.empty() ? GatewayId{} : state_->gateways.begin()->first;
}

void Core::each_job_of(ParticipantId participant, const std::function<void(const JobFacts&)>& visit) const {
  const auto owner = state_->owners.find(participant);
  if (owner == state_->owners.end()) return;
  for (JobId id : owner->second.granted) visit(state_->jobs.at(id));
  for (const LaneKey& key : owner->second.waiting) visit(state_->jobs.at(key.job));
}

void Core::each_job(const std::function<void(const JobFacts&)>& visit) const {
  for (const auto& [id, job] : state_->jobs) visit(job);
}
void Core::each_worker(const std::function<void(const WorkerFacts&)>& visit) const {
  for (const auto& [id, worker] : state_->workers) visit(worker);
}
void Core::each_enrolment(const std::function<void(const EnrolmentFacts&)>& visit) const {
  for (const auto& [id, enrolment] : state_->enrolments) visit(enrolment);
}
void Core::each_unlinked(const std::function<void(const UnlinkedCommit&)>& visit) const {
  for (const auto& [key, commit] : state_->unlinked) visit(commit);
}

bool Core::knows_capability(const Digest& hash) const { return state_->capabilities.contains(hash); }

bool Core::able_worker_exists(const JobFacts& job) const {
  const bool waits = state_->waiting.contains(job.job);
  const KindId kind = waits ? state_->waiting.at(job.job).kind : 0;
  Needs needs;
  if (!waits) {
    needs = {
        job.submitted.classes, job.submitted.models, job.submitted.tags, job.submitted.pinned_worker, {}};
  }
  for (const auto& [id, worker] : state_->workers) {
    if (!worker.link) continue;
    for (const SlotFacts& slot : worker.slots) {
      if (waits ? able_kind(*state_, kind, worker, slot) : able(*state_, worker, slot, needs)) return true;
    }
  }
  return false;
}

std::vector<CheckpointRecord> Core::export_facts() const {
  std::vector<CheckpointRecord> records;
  records.emplace_back(state_->workshop);
  for (const auto& [id, facts] : state_->gateways) records.emplace_back(facts);
  for (const auto& [id, facts] : state_->participants) records.emplace_back(facts);
  for (const auto& [id, facts] : state_->capabilities) records.emplace_back(facts);
  for (const auto& [id, facts] : state_->workers) records.emplace_back(facts);
  for (const auto& [id, facts] : state_->jobs) records.emplace_back(facts);
  for (const auto& [id, facts] : state_->unlinked) records.emplace_back(facts);
  for (const auto& [participant, counters] : state_->counters) {
    for (const auto& [key, facts] : counters) records.emplace_back(facts);
  }
  for (const auto& [signature, facts] : state_->runs) records.emplace_back(facts);
  for (const auto& [id, facts] : state_->enrolments) records.emplace_back(facts);
  for (const auto& [name, facts] : state_->worker_keys) records.emplace_back(facts);
  return records;
}

void Core::import_fact(const CheckpointRecord& record) {
  State& state = *state_;
  std::visit(
      Match{[&](const WorkshopFacts& facts) { state.workshop = facts; },
            [&](const GatewayFacts& facts) { state.gateways[facts.gateway] = facts; },
            [&](const ParticipantFacts& facts) { state.participants[facts.participant] = facts; },
            [&](const CapabilityFacts& facts) { state.capabilities[facts.capability.hash] = facts; },
            [&](const WorkerFacts& facts) {
              state.workers[facts.worker] = facts;
              state.worker_names[facts.name] = facts.worker;
            },
            [&](const JobFacts& facts) { state.jobs[facts.job] = facts; },
            [&](const UnlinkedCommit& facts) { state.unlinked[{facts.job, facts.node}] = facts; },
            [&](const NameCounter& facts) {
              state.counters[facts.participant][{facts.type, facts.folder, facts.stem, facts.numbered}] =
                  facts;
            },
            [&](const RunHistory& facts) {
              state.runs[facts.signature] = facts;
              state.runs_by_age.insert({facts.used, facts.signature});
            },
            [&](const EnrolmentFacts& facts) {
              state.enrolments[facts.enrolment] = facts;
              state.enrolment_tokens[facts.token] = facts.enrolment;
            },
            [&](const WorkerKeyFacts& facts) { state.worker_keys[facts.worker] = facts; },
            [&](const Summary&) { /* history's, not core's: the workshop takes it */ }},
      record);
}

void Core::finish_import() {
  state_->waiting.reset(state_->workshop.mode);
  for (const auto& [hash, facts] : state_->capabilities)
    state_->estimates.know_sizes(facts.capability.models, facts.capability.model_bytes);
  for (const auto& [id, job] : state_->jobs) state_->index(job);
  for (const auto& [id, participant] : state_->participants)
    state_->weight_milli_max = std::max(state_->weight_milli_max, participant.weight_milli);
  std::map<std::string, std::uint32_t, std::less<>> speeds;  // of kinds of workers
  for (const auto& [id, worker] : state_->workers) {
    for (const SlotFacts& slot : worker.slots) {
      speeds[slot.kind] = worker.speed_milli;
      auto& loaded = state_->loaded[SlotId{id, slot.index}] = slot.holds;
      std::ranges::sort(loaded);
    }
  }
  for (const auto& [signature, history] : state_->runs) {
    for (const RunSample& run : history.runs) {
      const auto speed = speeds.find(run.worker_kind);
      state_->estimates.add(signature, speed == speeds.end() ? 1000 : speed->second, run.loaded, run.gpu_ms);
    }
  }
}

}  // namespace atelier::core
