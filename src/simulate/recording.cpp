// SPDX-License-Identifier: MIT
#include "simulate/recording.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace atelier::simulate {
namespace {

constexpr std::int64_t kDayMs = 24 * 3'600'000, kUnknownRunMs = 20'000, kUnknownLoadMs = 15'000;

std::int64_t middle(std::vector<std::int64_t> values, std::int64_t otherwise) {
  if (values.empty()) return otherwise;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, at);
  return *at;
}

std::string set_of(const core::Submitted& job) {
  return job.models.empty() ? "-" : fmt::format("{}", fmt::join(job.models, "+"));
}

}  // namespace

void Recording::see(const core::Entry& entry, const core::Core& core) {
  last_ = entry.wall;
  if (const auto* const submitted = std::get_if<core::Submitted>(&entry.event)) {
    // Its id is the next one, unless core refuses it: then the next job takes the place.
    Job& job = jobs_[JobId{core.workshop().last_job + 1}];
    job = {};
    job.submitted = entry.time;
    job.wall = entry.wall;
    job.what = *submitted;
  } else if (const auto* const computed = std::get_if<core::Computed>(&entry.event)) {
    const core::JobFacts* const facts = core.job(computed->job);
    const auto job = jobs_.find(computed->job);
    if (facts == nullptr || job == jobs_.end() || !facts->lease || facts->lease->epoch != computed->epoch)
      return;
    const core::WorkerFacts* const worker = core.worker(facts->lease->slot.worker);
    const auto most = static_cast<std::uint64_t>((entry.time - facts->lease->since).count());
    job->second.run = {std::min(computed->gpu_ms, most), worker == nullptr ? 1000 : worker->speed_milli,
                       facts->lease->loads, facts->lease->slot};
  } else if (const auto* const ended = std::get_if<core::Ended>(&entry.event)) {
    const auto job = jobs_.find(ended->job);
    if (job == jobs_.end()) return;
    job->second.ended = entry.time;
    job->second.cancelled = ended->outcome == core::Outcome::cancelled;
  }
}

std::vector<const Recording::Job*> Recording::jobs_of_last_day() const {
  std::vector<const Job*> jobs;
  for (const auto& [id, job] : jobs_) {
    if (job.wall.ms >= last_.ms - kDayMs && !(job.cancelled && !job.run)) jobs.push_back(&job);
  }
  return jobs;
}

Result<Recorded> Recording::last_day() const {
  const std::vector<const Job*> jobs = jobs_of_last_day();
  if (jobs.empty()) return fail(Errc::not_found, "no job was submitted in the last day of this journal");

  // How long runs took, and loads by their models: of runs that did not load, and what was more in those that
  // did.
  std::map<std::uint64_t, std::vector<std::int64_t>> runs;
  std::vector<std::int64_t> all_runs, all_loads;
  const auto at_reference = [](const Run& run) {
    return static_cast<std::int64_t>(run.gpu_ms * run.speed_milli / 1000);
  };
  for (const Job* job : jobs) {
    if (!job->run || job->run->loads) continue;
    runs[job->what.signature].push_back(at_reference(*job->run));
    all_runs.push_back(at_reference(*job->run));
  }
  const std::int64_t any_run = middle(all_runs, kUnknownRunMs);
  const auto run_of = [&](std::uint64_t signature) {
    const auto found = runs.find(signature);
    return found == runs.end() ? any_run : middle(found->second, any_run);
  };
  std::map<std::string, std::vector<std::int64_t>> loads;
  for (const Job* job : jobs) {
    if (!job->run || !job->run->loads || job->what.models.empty()) continue;
    const std::int64_t load =
        std::max<std::int64_t>(static_cast<std::int64_t>(job->run->gpu_ms) -
                                   run_of(job->what.signature) * 1000 / job->run->speed_milli,
                               0);
    loads[set_of(job->what)].push_back(load);
    all_loads.push_back(load);
  }
  const std::int64_t any_load = middle(all_loads, kUnknownLoadMs);

  Recorded recorded;
  Trace& trace = recorded.trace;
  trace.name = "journal";
  trace.lease_ms = 30'000;
  trace.jain_window_ms = 600'000;
  std::map<std::string, std::size_t> sets;
  std::map<std::pair<std::uint64_t, std::string>, std::size_t> signatures;
  std::map<SlotId, std::uint32_t> slots;
  for (const Job* job : jobs) sets.emplace(set_of(job->what), 0);
  for (auto& [name, index] : sets) {
    index = trace.model_sets.size();
    const auto seen = loads.find(name);
    const std::int64_t load = seen == loads.end() ? any_load : middle(seen->second, any_load);
    trace.model_sets.push_back({.name = name, .load_ms = name == "-" ? 0 : load});
  }
  const std::int64_t begin = jobs.front()->submitted.ms;
  std::int64_t turnarounds = 0, last_end = begin;
  for (const Job* job : jobs) {
    const std::string set = set_of(job->what);
    const auto [signature, fresh] =
        signatures.emplace(std::pair(job->what.signature, set), trace.signatures.size());
    if (fresh) trace.signatures.push_back({fmt::format("{:016x}", job->what.signature), sets.at(set), false});
    Submission submission;
    submission.time = job->submitted.ms - begin;
    submission.participant = job->what.participant.value;
    submission.signature = signature->second;
    submission.priority = job->what.priority;
    submission.work_ms = run_of(job->what.signature);
    if (job->run) {
      slots[job->run->slot] = job->run->speed_milli;
      const std::int64_t whole = at_reference(*job->run);
      submission.work_ms =
          job->run->loads ? std::max(whole - trace.set_of(submission).load_ms, whole / 8) : whole;
    }
    submission.work_ms = std::max<std::int64_t>(submission.work_ms, 1);
    trace.participants = std::max(trace.participants, submission.participant);
    trace.submissions.push_back(submission);
    if (!job->ended) continue;
    ++recorded.jobs_ended;
    turnarounds += (*job->ended - job->submitted).count();
    last_end = std::max(last_end, job->ended->ms);
  }
  for (const auto& [slot, speed] : slots)
    trace.workers.push_back({fmt::format("slot-{:02}", trace.workers.size() + 1), "GPU", speed});
  if (trace.workers.empty()) trace.workers.push_back({"slot-01", "GPU", 1000});
  recorded.makespan_ms = last_end - begin;
  if (recorded.jobs_ended > 0)
    recorded.turnaround_mean_ms = turnarounds / static_cast<std::int64_t>(recorded.jobs_ended);
  return recorded;
}

}  // namespace atelier::simulate
