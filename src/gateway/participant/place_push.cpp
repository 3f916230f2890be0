// SPDX-License-Identifier: MIT
// `atelier.queue`: where each of a participant's waiting jobs stands, when it will be ready and why it waits
// (CI B8), pushed to their sockets when it changed, at most once a second per participant: what changes
// within that second is sent when it is over. A socket that opens is told at once what the others know.
//
//   {"jobs":[{"prompt_id":"..","place":3,"of":12,"eta_ms":[60000,120000],"reason":"..","cause":".."}]}
//
// `place` counts from 1 over the whole workshop; null for a job that cannot start as things are. `eta_ms` is
// [early, late] from now in the steps that people are shown, null while there is nothing to estimate from.
// `cause` is there if the place got worse: what made it so (people.md, messages 2 to 12 and 26).
#include <fmt/format.h>

#include <algorithm>

#include "comfy/json.hpp"
#include "comfy/messages.hpp"
#include "gateway/participant/face_impl.hpp"
#include "runtime/let_others_run.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kBetweenPushes{1'000};
// What falls due within it is looked at together.
constexpr milliseconds kPause{20};
// A millisecond's work: all else goes on after it.
constexpr std::size_t kJobsAtOnce = 300;

const std::string kNoPlaces = comfy::message("atelier.queue", R"({"jobs":[]})");

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

/// To 1 min below 10 min, 5 min below 1 h, else 15 min.
std::int64_t step_of(std::int64_t ms) {
  constexpr std::int64_t kMinute = 60'000;
  return ms < 10 * kMinute ? kMinute : ms < 60 * kMinute ? 5 * kMinute : 15 * kMinute;
}

std::string ready_text(const workshop::Standing* standing, std::int64_t since_ms) {
  if (standing == nullptr || !standing->ready) return "null";
  const std::int64_t early = std::max<std::int64_t>(standing->ready->early - since_ms, 0);
  const std::int64_t late = std::max<std::int64_t>(standing->ready->late - since_ms, 1);
  return fmt::format("[{},{}]", early / step_of(early) * step_of(early),
                     (late + step_of(late) - 1) / step_of(late) * step_of(late));
}

/// Why it cannot start however long the queue is; "" if it can.
std::string obstacle_of(const core::Core& core, const core::JobFacts& job) {
  if (job.cancel_at) return "It is about to be cancelled; undo brings it back to its place.";
  if (job.held) return "It is on hold. Your workflow is unchanged; it keeps its place.";
  const core::ParticipantFacts* const owner = core.participant(job.submitted.participant);
  const bool is_participant = job.submitted.participant != ParticipantId{};
  if ((owner != nullptr && owner->held) || (core.workshop().everyone_held && is_participant))
    return "The instructor has put your jobs on hold. You can press Run; your place is kept.";
  if (core.workshop().paused)
    return "The instructor has paused the queue. You can press Run; your place is kept.";
  if (owner != nullptr && owner->allowance_ms > 0 && owner->used_ms >= owner->allowance_ms) {
    return fmt::format(
        "You have used your {} GPU-min for today. Jobs you send now wait until the instructor adds time.",
        owner->allowance_ms / 60'000);
  }
  if (!core.able_worker_exists(job)) {
    bool connected = false;
    core.each_worker([&connected](const core::WorkerFacts& worker) { connected = connected || worker.link; });
    if (!connected) return "No GPU is connected. Your job is kept and starts when one arrives.";
    return job.submitted.pinned_worker.empty()
               ? "No connected GPU can run this workflow. The job is kept."
               : fmt::format("This job waits for {}, which was chosen for it.", job.submitted.pinned_worker);
  }
  return {};
}

std::string reason_of(const core::Core& core, const core::JobFacts& job, const workshop::Standing* standing,
                      const core::PolicySettings& policy) {
  if (std::string obstacle = obstacle_of(core, job); !obstacle.empty()) return obstacle;
  if (standing == nullptr) return "It has been received.";
  const ParticipantId owner = job.submitted.participant;
  const core::ParticipantFacts* const facts = core.participant(owner);
  std::uint32_t running_max = facts == nullptr ? 0 : facts->running_max;
  if (running_max == 0 && owner) running_max = policy.running_per_participant_max;
  const core::LaneCounts counts = core.counts(owner);
  const bool capped = running_max > 0 && counts.leased + counts.running >= running_max;
  if (capped && standing->place > 0 && standing->own_ahead == 0) {
    return fmt::format("You can have {} running at a time. This one is next after {}.",
                       count_of(running_max, "job", "jobs"), running_max == 1 ? "it" : "one of them");
  }
  if (standing->place == 0 && facts != nullptr && facts->allowance_ms > 0)
    return "Your GPU minutes will be used up before its turn. The instructor can add time.";
  if (standing->place == 0) return "It waits for a GPU that can run it.";
  if (job.passed_since) {
    const std::int64_t waited = (core.workshop().last_time - job.submitted_at).count();
    const std::int64_t most = std::clamp<std::int64_t>(waited / 10, 60'000, 300'000);
    return fmt::format(
        "{} went first because the model was loaded already; this costs you at most {} s in all.",
        count_of(job.passed_places, "job", "jobs"), most / 1'000);
  }
  if (standing->place == 1) return "It is next when a GPU is free.";
  if (standing->jobs_ahead == 0)
    return count_of(standing->own_ahead, "of your own jobs comes first.", "of your own jobs come first.");
  switch (core.workshop().mode) {
    case core::QueueMode::round_robin:
      if (standing->people_ahead == 0) return "The instructor runs an example first.";
      return count_of(standing->people_ahead, "person ahead of you has used less GPU time today.",
                      "people ahead of you have used less GPU time today.");
    case core::QueueMode::priority:
      return count_of(standing->jobs_ahead, "job has a higher priority or came before yours.",
                      "jobs have a higher priority or came before yours.");
    case core::QueueMode::fifo:
      break;
  }
  return count_of(standing->jobs_ahead, "job came before yours.", "jobs came before yours.");
}

std::string cause_of(const workshop::Standing& standing, core::QueueMode mode) {
  using workshop::WorseCause;
  if (standing.worse == WorseCause::none) return {};
  std::string what;
  switch (standing.worse) {
    case WorseCause::none:
      break;
    case WorseCause::pressed_run: {
      const std::string people = count_of(standing.worse_people, "person", "people");
      const std::string_view have = standing.worse_people == 1 ? "has" : "have";
      what = mode == core::QueueMode::round_robin
                 ? fmt::format("{} who {} used less GPU time today pressed Run", people, have)
                 : fmt::format("{} whose jobs go first pressed Run", people);
      break;
    }
    case WorseCause::came_back:
      what = count_of(standing.worse_jobs, "job that waited before is back at its place",
                      "jobs that waited before are back at their places");
      break;
    case WorseCause::moved:
      what = fmt::format("the instructor moved {} ahead", count_of(standing.worse_jobs, "job", "jobs"));
      break;
    case WorseCause::instructor:
      what = "the instructor runs an example first";
      break;
    case WorseCause::own:
      what = "another job of yours goes first";
      break;
    case WorseCause::mode:
      what = "the instructor changed the order of the queue";
      break;
    case WorseCause::turns:
      what = mode == core::QueueMode::round_robin ? "others have used less GPU time by now"
                                                  : "other jobs go first now";
      break;
  }
  return fmt::format("Now {}, was {}: {}.", ordinal(standing.place), ordinal(standing.worse_from), what);
}

}  // namespace

ParticipantFace::Impl::PlaceText ParticipantFace::Impl::place_text(ParticipantId participant) const {
  const core::Core& core = workshop.core();
  const auto view = outlook == nullptr ? nullptr : outlook->view();
  const std::int64_t since = view == nullptr ? 0 : (workshop.now() - view->at).count();
  PlaceText text;
  std::string jobs;
  core.each_job_of(participant, [&](const core::JobFacts& job) {
    if (job.lease || job.cancel_requested) return;
    ++text.jobs;
    const bool queued = job.state == core::JobState::queued;
    const workshop::Standing* const standing = view == nullptr || !queued ? nullptr : view->find(job.job);
    const std::uint32_t place = standing == nullptr ? 0 : standing->place;
    jobs +=
        fmt::format(R"({}{{"prompt_id":{},"place":{},"of":{},"eta_ms":{},"reason":{})",
                    jobs.empty() ? "" : ",", comfy::quote_json(job.submitted.prompt_id),
                    place == 0 ? "null" : fmt::format("{}", place), core.jobs_waiting(),
                    ready_text(standing, since), comfy::quote_json(reason_of(core, job, standing, policy)));
    if (standing != nullptr && standing->worse != workshop::WorseCause::none)
      jobs += fmt::format(R"(,"cause":{})", comfy::quote_json(cause_of(*standing, core.workshop().mode)));
    jobs += '}';
  });
  text.message = comfy::message("atelier.queue", fmt::format(R"({{"jobs":[{}]}})", jobs));
  return text;
}

void ParticipantFace::Impl::greet_with_places(Client& client) {
  PlacesSent& sent = places_sent[client.participant];
  if (sockets.all(client.participant).size() == 1) {
    sent.text = place_text(client.participant).message;
    sent.at = runtime.now();
  }
  // Sockets that open again and again do not hold back what the others are to be told.
  if (!sent.look) sent.greeted = runtime.now();
  if (sent.text != kNoPlaces) client.send(std::make_shared<const std::string>(sent.text));
}

awaitable<void> ParticipantFace::Impl::push_places() {
  constexpr milliseconds kIdle{3'600'000};
  std::optional<Instant> due;  // when somebody's second is over who has not been looked at
  while (true) {               // until the group cancels it
    while (!places_dirty && !(due && *due <= runtime.now())) {
      [[maybe_unused]] const bool woken = co_await wake_places.wait(due.value_or(runtime.now() + kIdle));
    }
    const bool all = std::exchange(places_dirty, false);
    due.reset();
    const std::vector<ParticipantId> connected = sockets.participants();
    const std::set<ParticipantId> wanted(connected.begin(), connected.end());
    std::erase_if(places_sent, [&](const auto& sent) { return !wanted.contains(sent.first); });
    std::size_t written = 0;
    for (const ParticipantId participant : wanted) {
      PlacesSent& sent = places_sent[participant];
      sent.look = sent.look || all;
      if (!sent.look) continue;
      if (const Instant when = std::max(sent.at, sent.greeted) + kBetweenPushes; runtime.now() < when) {
        due = std::min(due.value_or(when), when);
        continue;
      }
      PlaceText text = place_text(participant);
      written += text.jobs;
      sent.look = false;
      if (sent.text != text.message) {
        sockets.send_all(participant, text.message);
        sent.text = std::move(text.message);
        sent.at = runtime.now();
      }
      if (written < kJobsAtOnce) continue;
      written = 0;
      co_await let_others_run();
    }
    [[maybe_unused]] const bool slept = co_await runtime.sleep_for(kPause);
  }
}

}  // namespace atelier::gateway
