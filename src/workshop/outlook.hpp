// SPDX-License-Identifier: MIT
#pragma once
// Keeps the standings of all jobs up to date: a copy of the queue goes to the compute pool at most once a
// second, after a change or every five seconds while a job lives. Nothing of it is recorded. One thread.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/eta_errors.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"
#include "workshop/effect_sink.hpp"
#include "workshop/standings.hpp"
#include "workshop/workshop.hpp"

namespace atelier::workshop {

/// A worker had a job and did not end it: why it waits again.
struct Setback {
  Time at;
  std::string worker;
  std::optional<core::LossReason> lost;  // else it was given back:
  core::ReturnReason returned = core::ReturnReason::draining;
};

class Outlook final : public EffectSink {
 public:
  /// Everything outlives it. `policy` is what decide is given.
  Outlook(Runtime& runtime, const Workshop& workshop, core::PolicySettings policy);

  /// Called on the one thread after each new view. Set before start().
  void on_view(std::function<void()> listener) { listener_ = std::move(listener); }
  void start();
  [[nodiscard]] awaitable<void> stop(Instant deadline);

  /// The newest view; an empty one before the first. What started or ended since is still in it.
  [[nodiscard]] std::shared_ptr<const StandingsView> view() const { return view_; }
  /// The last one of a live job, or null. Valid until the next effects.
  [[nodiscard]] const Setback* setback(JobId job) const;
  void on_effects(const core::Entry& entry, std::span<const core::Effect> effects) override;

 private:
  awaitable<void> keep();
  /// False: cancelled.
  awaitable<bool> look();
  void note_setback(const core::Entry& entry, JobId job);
  awaitable<bool> note_forecasts(Time made);

  Runtime& runtime_;
  const Workshop& workshop_;
  core::PolicySettings policy_;
  std::function<void()> listener_;
  std::shared_ptr<const StandingsView> view_ = std::make_shared<StandingsView>();
  core::EtaErrors errors_;
  std::map<JobId, WorkerId> leased_;  // to whom
  std::map<JobId, Setback> setbacks_;
  bool dirty_ = true;
  Signal changed_;
  TaskGroup tasks_;
};

}  // namespace atelier::workshop
