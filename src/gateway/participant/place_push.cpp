// SPDX-License-Identifier: MIT
// `atelier.queue`: where each of a participant's waiting jobs stands, when it will be ready and why it waits
// (CI B8), pushed to their sockets when it changed, at most once a second per participant: what changes
// within that second is sent when it is over. A socket that opens is told at once what the others know.
//
//   {"jobs":[{"prompt_id":"..","place":3,"of":12,"eta_ms":[60000,120000],"reason":"..","cause":".."}]}
//
// `place` counts from 1 over the whole workshop; null for a job that cannot start as things are. `eta_ms` is
// [early, late] from now in the steps that people are shown, null while there is nothing to estimate from.
// A job whose worker has just failed is in it though another one has it already. `cause` is there if
// something got worse: what made it so.
#include <fmt/format.h>

#include <algorithm>

#include "comfy/json.hpp"
#include "comfy/messages.hpp"
#include "gateway/participant/face_impl.hpp"
#include "gateway/place_words.hpp"
#include "runtime/let_others_run.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kBetweenPushes{1'000};
// What falls due within it is looked at together.
constexpr milliseconds kPause{20};
// Of a job whose worker failed and that has another one by now: for so long.
constexpr milliseconds kSetbackShown{10'000};
// A millisecond's work: all else goes on after it.
constexpr std::size_t kJobsAtOnce = 300;

const std::string kNoPlaces = comfy::message("atelier.queue", R"({"jobs":[]})");

std::string ready_text(const workshop::Standing* standing, std::int64_t since_ms) {
  if (standing == nullptr || !standing->ready) return "null";
  const std::int64_t early = std::max<std::int64_t>(standing->ready->early - since_ms, 0);
  const std::int64_t late = std::max<std::int64_t>(standing->ready->late - since_ms, 1);
  return fmt::format("[{},{}]", early / step_of(early) * step_of(early),
                     (late + step_of(late) - 1) / step_of(late) * step_of(late));
}

}  // namespace

ParticipantFace::Impl::PlaceText ParticipantFace::Impl::place_text(ParticipantId participant) const {
  const core::Core& core = workshop.core();
  const auto view = outlook == nullptr ? nullptr : outlook->view();
  const std::int64_t since = view == nullptr ? 0 : (workshop.now() - view->at).count();
  // Places are the view's, and some may have started since.
  const std::size_t waiting = std::max(core.jobs_waiting(), view == nullptr ? 0 : view->order.size());
  PlaceText text;
  std::string jobs;
  core.each_job_of(participant, [&](const core::JobFacts& job) {
    const workshop::Setback* const setback = outlook == nullptr ? nullptr : outlook->setback(job.job);
    // One that starts anew at once has no time to wait, and its owner is told, too.
    const bool fresh = setback != nullptr && workshop.now() < setback->at + kSetbackShown;
    if ((job.lease && !fresh) || job.cancel_requested) return;
    ++text.jobs;
    const bool queued = job.state == core::JobState::queued;
    const workshop::Standing* const standing = view == nullptr || !queued ? nullptr : view->find(job.job);
    const std::uint32_t place = standing == nullptr ? 0 : standing->place;
    const PlaceWords words{core, job, view.get(), standing, since, setback};
    jobs += fmt::format(R"({}{{"prompt_id":{},"place":{},"of":{},"eta_ms":{},"reason":{})",
                        jobs.empty() ? "" : ",", comfy::quote_json(job.submitted.prompt_id),
                        place == 0 ? "null" : fmt::format("{}", place), waiting, ready_text(standing, since),
                        comfy::quote_json(words.reason().sentence));
    if (const std::string cause = words.cause().sentence; !cause.empty())
      jobs += fmt::format(R"(,"cause":{})", comfy::quote_json(cause));
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
