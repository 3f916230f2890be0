// SPDX-License-Identifier: MIT
#include "workshop/outlook.hpp"

#include "base/match.hpp"

namespace atelier::workshop {
namespace {

// A change is looked at when those that come with it are there, and a second lies between two looks.
constexpr milliseconds kGather{50}, kPause{950}, kRefresh{5'000}, kIdle{3'600'000};
// A long queue is gone through in pieces of a third of a millisecond, and the thread is left to others
// between them: a submit crosses it in four steps, each behind what is at work.
constexpr std::size_t kJobsAtOnce = 100;
constexpr milliseconds kBetween{2};

}  // namespace

Outlook::Outlook(Runtime& runtime, const Workshop& workshop, core::PolicySettings policy)
    : runtime_(runtime), workshop_(workshop), policy_(policy), changed_(runtime), tasks_(runtime) {}

awaitable<void> Outlook::stop(Instant deadline) {
  [[maybe_unused]] const bool all = co_await tasks_.stop(deadline);
}

void Outlook::start() {
  workshop_.core().each_job([this](const core::JobFacts& job) {
    if (job.lease) leased_[job.job] = job.lease->slot.worker;
  });
  tasks_.spawn("outlook", keep());
}

const Setback* Outlook::setback(JobId job) const {
  const auto found = setbacks_.find(job);
  return found == setbacks_.end() ? nullptr : &found->second;
}

void Outlook::note_setback(const core::Entry& entry, JobId job) {
  const auto leased = leased_.find(job);
  if (leased == leased_.end()) return;
  Setback setback;
  setback.at = entry.time;
  if (const core::WorkerFacts* const worker = workshop_.core().worker(leased->second))
    setback.worker = worker->name;
  leased_.erase(leased);
  if (const auto* const returned = std::get_if<core::Returned>(&entry.event)) {
    setback.returned = returned->reason;
  } else if (const auto* const expired = std::get_if<core::LeaseExpired>(&entry.event)) {
    setback.lost = expired->reason;
  } else {
    setback.lost = core::LossReason::engine_died;
  }
  if (!setback.worker.empty()) setbacks_.insert_or_assign(job, std::move(setback));
}

void Outlook::on_effects(const core::Entry& entry, std::span<const core::Effect> effects) {
  for (const core::Effect& effect : effects) {
    if (const auto* const leased = std::get_if<core::JobLeased>(&effect))
      leased_[leased->job] = leased->slot.worker;
    if (const auto* const queued = std::get_if<core::JobQueued>(&effect)) note_setback(entry, queued->job);
    if (const auto* const ended = std::get_if<core::JobEnded>(&effect)) {
      leased_.erase(ended->facts.job);
      setbacks_.erase(ended->facts.job);
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
    if (!co_await look()) co_return;
    if (listener_) listener_();
    [[maybe_unused]] const bool slept = co_await runtime_.sleep_for(kPause);
  }
}

awaitable<bool> Outlook::look() {
  const Time now = workshop_.now();
  core::QueueCopier copier(workshop_.core(), now, {}, policy_);
  while (copier.more(kJobsAtOnce)) {
    if (!co_await runtime_.sleep_for(kBetween)) co_return false;
  }
  auto make = [queue = copier.finish(), spread = errors_.spread(now), before = view_,
               seed = std::uint64_t{1}] {  // the same each time: what is shown should not flicker
    return std::make_shared<const StandingsView>(make_standings(queue, spread, before.get(), seed));
  };
  view_ = co_await run_blocking(runtime_.compute_pool(), std::move(make));
  co_return co_await note_forecasts(now);
}

awaitable<bool> Outlook::note_forecasts(Time made) {
  const std::shared_ptr<const StandingsView> view = view_;
  // While a job cannot start (a pause, a hold, no worker) time says nothing about forecasts.
  const auto foretold = [&view](JobId job) {
    const Standing* const standing = view->find(job);
    return standing != nullptr && standing->ready;
  };
  JobId from = errors_.keep_only({}, kJobsAtOnce, foretold);
  while (from) {
    if (!co_await runtime_.sleep_for(kBetween)) co_return false;
    from = errors_.keep_only(from, kJobsAtOnce, foretold);
  }
  std::size_t left = kJobsAtOnce;
  for (const Standing& job : view->jobs) {
    if (!job.middle) continue;
    errors_.foretold(job.job, made, *job.middle);
    if (--left > 0) continue;
    if (!co_await runtime_.sleep_for(kBetween)) co_return false;
    left = kJobsAtOnce;
  }
  co_return true;
}

}  // namespace atelier::workshop
