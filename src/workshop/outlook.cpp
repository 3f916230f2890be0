// SPDX-License-Identifier: MIT
#include "workshop/outlook.hpp"

#include "base/match.hpp"
#include "runtime/let_others_run.hpp"

namespace atelier::workshop {
namespace {

// A change is looked at when those that come with it are there, and a second lies between two looks.
constexpr milliseconds kGather{50}, kPause{950}, kRefresh{5'000}, kIdle{3'600'000};
// A long queue is gone through in pieces of half a millisecond, and all else goes on between them.
constexpr std::size_t kJobsAtOnce = 1'000;

}  // namespace

Outlook::Outlook(Runtime& runtime, const Workshop& workshop, core::PolicySettings policy)
    : runtime_(runtime), workshop_(workshop), policy_(policy), changed_(runtime), tasks_(runtime) {}

awaitable<void> Outlook::stop(Instant deadline) {
  [[maybe_unused]] const bool all = co_await tasks_.stop(deadline);
}

void Outlook::on_effects(const core::Entry& entry, std::span<const core::Effect> effects) {
  for (const core::Effect& effect : effects) {
    if (const auto* const ended = std::get_if<core::JobEnded>(&effect)) {
      if (ended->outcome == core::Outcome::cancelled) {
        errors_.forget(ended->facts.job);
      } else {
        errors_.ready(ended->facts.job, entry.time);
      }
    }
    dirty_ = dirty_ || !std::holds_alternative<core::Refused>(effect);
  }
  if (dirty_) changed_.notify_all();
}

awaitable<void> Outlook::keep() {
  while (true) {  // until the group cancels it
    while (!dirty_) {
      const bool busy = workshop_.core().jobs_live() > 0;
      const bool woken = co_await changed_.wait(runtime_.now() + (busy ? kRefresh : kIdle));
      if (!woken && busy) break;
    }
    if (!co_await runtime_.sleep_for(kGather)) co_return;
    dirty_ = false;
    co_await look();
    if (listener_) listener_();
    [[maybe_unused]] const bool slept = co_await runtime_.sleep_for(kPause);
  }
}

awaitable<void> Outlook::look() {
  const Time now = workshop_.now();
  core::QueueCopier copier(workshop_.core(), now, {}, policy_);
  while (copier.more(kJobsAtOnce)) co_await let_others_run();
  auto make = [queue = copier.finish(), spread = errors_.spread(now), before = view_,
               seed = std::uint64_t{1}] {  // the same each time: what is shown should not flicker
    return std::make_shared<const StandingsView>(make_standings(queue, spread, before.get(), seed));
  };
  view_ = co_await run_blocking(runtime_.compute_pool(), std::move(make));
  co_await note_forecasts(now);
}

awaitable<void> Outlook::note_forecasts(Time made) {
  const std::shared_ptr<const StandingsView> view = view_;
  // While a job cannot start (a pause, a hold, no worker) time says nothing about forecasts.
  const auto foretold = [&view](JobId job) {
    const Standing* const standing = view->find(job);
    return standing != nullptr && standing->ready;
  };
  JobId from = errors_.keep_only({}, kJobsAtOnce, foretold);
  while (from) {
    co_await let_others_run();
    from = errors_.keep_only(from, kJobsAtOnce, foretold);
  }
  std::size_t left = kJobsAtOnce;
  for (const Standing& job : view->jobs) {
    if (!job.ready) continue;
    errors_.foretold(job.job, made, job.ready->early);
    if (--left > 0) continue;
    co_await let_others_run();
    left = kJobsAtOnce;
  }
}

}  // namespace atelier::workshop
