// SPDX-License-Identifier: MIT
// `atelier.queue`: where each of a participant's waiting jobs stands and why it waits (CI B8), pushed to
// their sockets when it changed, at most once a second.
//
//   {"jobs":[{"prompt_id":"..","place":3,"of":12,"eta_ms":null,"reason":".."}]}
//
// `place` counts from 1 over the whole workshop; null for a job that is held. `eta_ms` is [early, late] from
// now, null while there is nothing to estimate from.
#include <fmt/format.h>

#include "comfy/json.hpp"
#include "comfy/messages.hpp"
#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kPause{1'000};

std::string reason_of(const core::Core& core, const core::JobFacts& job, std::size_t place) {
  if (job.held) return "It is on hold: your instructor will release it.";
  if (core.workshop().paused) return "The queue is paused.";
  if (!core.able_worker_exists(job))
    return "No GPU that can run this workflow is connected. The job is kept.";
  if (place == 1) return "It is next when a GPU is free.";
  return fmt::format("{} {} before it.", place - 1, place == 2 ? "job is" : "jobs are");
}

}  // namespace

std::map<ParticipantId, std::string> ParticipantFace::Impl::place_texts(
    const std::set<ParticipantId>& of) const {
  const core::Core& core = workshop.core();
  // First come, first served: the ids of a lane's jobs are its places in the common order; which of them
  // takes which place is the lane's own order (core.md 4).
  std::map<ParticipantId, std::vector<std::size_t>> places;
  std::size_t waiting = 0;
  core.each_job([&](const core::JobFacts& job) {
    if (job.state != core::JobState::queued || job.held || job.cancel_requested) return;
    ++waiting;
    if (of.contains(job.submitted.participant)) places[job.submitted.participant].push_back(waiting);
  });
  std::map<ParticipantId, std::string> texts;
  for (const ParticipantId participant : of) {
    std::string jobs;
    std::size_t next = 0;
    core.each_job_of(participant, [&](const core::JobFacts& job) {
      const bool held = job.state == core::JobState::held || job.held;
      if ((job.state != core::JobState::queued && !held) || job.cancel_requested) return;
      const auto& own = places[participant];
      const std::size_t place = held || next >= own.size() ? 0 : own[next++];
      jobs += fmt::format(R"({}{{"prompt_id":{},"place":{},"of":{},"eta_ms":null,"reason":{}}})",
                          jobs.empty() ? "" : ",", comfy::quote_json(job.submitted.prompt_id),
                          place == 0 ? "null" : fmt::format("{}", place), waiting,
                          comfy::quote_json(reason_of(core, job, place)));
    });
    texts[participant] = comfy::message("atelier.queue", fmt::format(R"({{"jobs":[{}]}})", jobs));
  }
  return texts;
}

awaitable<void> ParticipantFace::Impl::push_places() {
  constexpr milliseconds kIdle{3'600'000};
  static const std::string kNone = comfy::message("atelier.queue", R"({"jobs":[]})");
  while (true) {  // until the group cancels it
    while (!places_dirty) {
      [[maybe_unused]] const bool woken = co_await wake_places.wait(runtime.now() + kIdle);
    }
    places_dirty = false;
    const std::vector<ParticipantId> connected = sockets.participants();
    const std::set<ParticipantId> wanted(connected.begin(), connected.end());
    std::erase_if(places_sent, [&](const auto& sent) { return !wanted.contains(sent.first); });
    for (auto& [participant, text] : place_texts(wanted)) {
      auto& sent = places_sent[participant];
      if (sent == text || (sent.empty() && text == kNone)) continue;
      sockets.send_all(participant, text);
      sent = std::move(text);
    }
    [[maybe_unused]] const bool slept = co_await runtime.sleep_for(kPause);
  }
}

}  // namespace atelier::gateway
