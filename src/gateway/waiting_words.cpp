// SPDX-License-Identifier: MIT
#include "gateway/waiting_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace atelier::gateway {
namespace {

std::string count_of(std::uint64_t count, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string ordinal(std::uint32_t place) {
  const bool teen = place % 100 >= 11 && place % 100 <= 13;
  const std::string_view ending = teen              ? "th"
                                  : place % 10 == 1 ? "st"
                                  : place % 10 == 2 ? "nd"
                                  : place % 10 == 3 ? "rd"
                                                    : "th";
  return fmt::format("{}{}", place, ending);
}

/// Why it cannot start however long the queue is; nothing if it can.
std::optional<WaitingWords> obstacle_of(const core::Core& core, const core::JobFacts& job) {
  if (job.cancel_at)
    return WaitingWords{"cancelling", "It is about to be cancelled; undo brings it back to its place."};
  if (job.held) return WaitingWords{"held", "It is on hold. Your workflow is unchanged; it keeps its place."};
  const core::ParticipantFacts* const owner = core.participant(job.submitted.participant);
  const bool is_participant = job.submitted.participant != ParticipantId{};
  if ((owner != nullptr && owner->held) || (core.workshop().everyone_held && is_participant))
    return WaitingWords{"owner_held",
                        "The instructor has put your jobs on hold. You can press Run; your place is kept."};
  if (core.workshop().paused)
    return WaitingWords{"paused",
                        "The instructor has paused the queue. You can press Run; your place is kept."};
  if (owner != nullptr && owner->allowance_ms > 0 && owner->used_ms >= owner->allowance_ms) {
    return WaitingWords{
        "allowance_used",
        fmt::format(
            "You have used your {} GPU-min for today. Jobs you send now wait until the instructor adds time.",
            owner->allowance_ms / 60'000)};
  }
  if (!core.able_worker_exists(job)) {
    bool connected = false;
    core.each_worker([&connected](const core::WorkerFacts& worker) { connected = connected || worker.link; });
    if (!connected)
      return WaitingWords{"no_gpu", "No GPU is connected. Your job is kept and starts when one arrives."};
    const std::string& pinned = job.submitted.pinned_worker;
    if (pinned.empty())
      return WaitingWords{"no_able_gpu", "No connected GPU can run this workflow. The job is kept."};
    return WaitingWords{"pinned_gpu", fmt::format("This job waits for {}, which was chosen for it.", pinned)};
  }
  return std::nullopt;
}

}  // namespace

WaitingWords why_it_waits(const core::Core& core, const core::JobFacts& job,
                          const workshop::Standing* standing, const core::PolicySettings& policy) {
  if (auto obstacle = obstacle_of(core, job)) return std::move(*obstacle);
  if (standing == nullptr) return {"received", "It has been received."};
  const ParticipantId owner = job.submitted.participant;
  const core::ParticipantFacts* const facts = core.participant(owner);
  std::uint32_t running_max = facts == nullptr ? 0 : facts->running_max;
  if (running_max == 0 && owner) running_max = policy.running_per_participant_max;
  const core::LaneCounts counts = core.counts(owner);
  const bool capped = running_max > 0 && counts.leased + counts.running >= running_max;
  if (capped && standing->place > 0 && standing->own_ahead == 0) {
    return {"running_cap",
            fmt::format("You can have {} running at a time. This one is next after {}.",
                        count_of(running_max, "job", "jobs"), running_max == 1 ? "it" : "one of them")};
  }
  if (standing->place == 0 && facts != nullptr && facts->allowance_ms > 0)
    return {"allowance_ends",
            "Your GPU minutes will be used up before its turn. The instructor can add time."};
  if (standing->place == 0) return {"able_gpu", "It waits for a GPU that can run it."};
  if (job.passed_since) {
    const std::int64_t waited = (core.workshop().last_time - job.submitted_at).count();
    const std::int64_t most = std::clamp<std::int64_t>(waited / 10, 60'000, 300'000);
    return {
        "models",
        fmt::format("{} went first because the model was loaded already; this costs you at most {} s in all.",
                    count_of(job.passed_places, "job", "jobs"), most / 1'000)};
  }
  if (standing->place == 1) return {"next", "It is next when a GPU is free."};
  if (standing->jobs_ahead == 0)
    return {"own_jobs",
            count_of(standing->own_ahead, "of your own jobs comes first.", "of your own jobs come first.")};
  switch (core.workshop().mode) {
    case core::QueueMode::round_robin:
      if (standing->people_ahead == 0) return {"instructor", "The instructor runs an example first."};
      return {"gpu_time",
              count_of(standing->people_ahead, "person ahead of you has used less GPU time today.",
                       "people ahead of you have used less GPU time today.")};
    case core::QueueMode::priority:
      return {"priority", count_of(standing->jobs_ahead, "job has a higher priority or came before yours.",
                                   "jobs have a higher priority or came before yours.")};
    case core::QueueMode::fifo:
      break;
  }
  return {"first_come", count_of(standing->jobs_ahead, "job came before yours.", "jobs came before yours.")};
}

std::optional<WaitingWords> why_it_is_worse(const workshop::Standing* standing, core::QueueMode mode) {
  using workshop::WorseCause;
  if (standing == nullptr || standing->worse == WorseCause::none) return std::nullopt;
  std::string_view code;
  std::string what;
  switch (standing->worse) {
    case WorseCause::none:
      break;
    case WorseCause::pressed_run: {
      code = "pressed_run";
      const std::string people = count_of(standing->worse_people, "person", "people");
      const std::string_view have = standing->worse_people == 1 ? "has" : "have";
      what = mode == core::QueueMode::round_robin
                 ? fmt::format("{} who {} used less GPU time today pressed Run", people, have)
                 : fmt::format("{} whose jobs go first pressed Run", people);
      break;
    }
    case WorseCause::came_back:
      code = "came_back";
      what = count_of(standing->worse_jobs, "job that waited before is back at its place",
                      "jobs that waited before are back at their places");
      break;
    case WorseCause::moved:
      code = "moved";
      what = fmt::format("the instructor moved {} ahead", count_of(standing->worse_jobs, "job", "jobs"));
      break;
    case WorseCause::instructor:
      code = "instructor";
      what = "the instructor runs an example first";
      break;
    case WorseCause::own:
      code = "own";
      what = "another job of yours goes first";
      break;
    case WorseCause::mode:
      code = "mode";
      what = "the instructor changed the order of the queue";
      break;
    case WorseCause::turns:
      code = "turns";
      what = mode == core::QueueMode::round_robin ? "others have used less GPU time by now"
                                                  : "other jobs go first now";
      break;
  }
  return WaitingWords{code, fmt::format("Now {}, was {}: {}.", ordinal(standing->place),
                                        ordinal(standing->worse_from), what)};
}

std::int64_t ready_step(std::int64_t ms) {
  constexpr std::int64_t kMinute = 60'000;
  return ms < 10 * kMinute ? kMinute : ms < 60 * kMinute ? 5 * kMinute : 15 * kMinute;
}

}  // namespace atelier::gateway
