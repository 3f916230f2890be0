// SPDX-License-Identifier: MIT
// Commands about one job: hold, release, priority, pin, tags, cancel with undo.
#include <fmt/format.h>

#include "comfy/json.hpp"
#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {
namespace {

core::JobChanged changed_of(const core::JobFacts& job, const Caller& caller) {
  core::JobChanged event;
  event.job = job.job;
  event.priority = job.submitted.priority;
  event.pinned_worker = job.submitted.pinned_worker;
  event.tags = job.submitted.tags;
  event.by = caller.name();
  return event;
}

void add_member(std::string& object, std::string_view name, std::string_view value) {
  object += fmt::format(R"({}"{}":{})", object.empty() ? "" : ",", name, value);
}

Undo undo_cancel_of(JobId job) { return {"DELETE", fmt::format("/jobs/{}/cancel", job)}; }

}  // namespace

Problem InstructorFace::Impl::not_waiting(const Caller& caller, JobId id) const {
  if (const core::JobFacts* job = workshop.core().job(id);
      job != nullptr && caller.owns(job->submitted.participant)) {
    return {409, fmt::format("Job {} is {} already. Nothing was changed.", id,
                             job->cancel_requested ? "being cancelled" : to_string(job->state))};
  }
  const core::Summary* summary = workshop.history().find(id);
  if (summary != nullptr && caller.owns(summary->participant))
    return {409, fmt::format("Job {} has ended: {}. Nothing was changed.", id, to_string(summary->outcome))};
  return {404, fmt::format("There is no job {}.", id)};
}

std::expected<const core::JobFacts*, Problem> InstructorFace::Impl::waiting_job(const Caller& caller,
                                                                                JobId id) const {
  const core::JobFacts* job = workshop.core().job(id);
  const bool waits = job != nullptr && !job->lease && !job->cancel_requested;
  if (!waits || !caller.owns(job->submitted.participant)) return std::unexpected(not_waiting(caller, id));
  return job;
}

awaitable<std::optional<Problem>> InstructorFace::Impl::record_for(const Caller& caller, JobId job,
                                                                   std::vector<core::Event> wanted) {
  const Caller who = caller;
  const auto recorded = co_await record(std::move(wanted));
  if (recorded) co_return std::nullopt;
  // What was asked no longer fits: it started, ended, or somebody was quicker.
  if (recorded.error().code == Errc::not_found) co_return not_waiting(who, job);
  if (recorded.error().code == Errc::conflict) {
    if (auto still = waiting_job(who, job); !still) co_return std::move(still).error();
    co_return Problem(409, fmt::format("Job {} was changed by somebody else just now; look again.", job));
  }
  co_return problem_of(recorded.error());
}

awaitable<InstructorFace::Impl::Turn> InstructorFace::Impl::turn_to_edit(std::string what) {
  constexpr milliseconds kPatience{60'000};
  while (edited.contains(what)) {
    [[maybe_unused]] const bool over = co_await edit_over.wait(runtime.now() + kPatience);
  }
  edited.insert(what);
  co_return Turn(*this, std::move(what));
}

awaitable<CommandOutcome> InstructorFace::Impl::change_job(Caller caller, JobId id, JobChange change) {
  const Turn turn = co_await turn_to_edit(fmt::format("job {}", id));
  const auto found = waiting_job(caller, id);
  if (!found) co_return std::unexpected(found.error());
  const core::JobFacts& job = **found;
  std::string before;
  core::JobChanged changed = changed_of(job, caller);
  const auto set = [&](auto& member, const auto& wanted, std::string_view name, const std::string& old) {
    if (!wanted || *wanted == member) return;
    add_member(before, name, old);
    member = *wanted;
  };
  set(changed.priority, change.priority, "priority", comfy::quote_json(to_string(changed.priority)));
  set(changed.pinned_worker, change.pinned_worker, "pinned_worker", comfy::quote_json(changed.pinned_worker));
  set(changed.tags, change.tags, "tags", comfy::quote_json_list(changed.tags));
  const bool changes = !before.empty();
  const bool holds = change.held && *change.held != job.held;
  if (holds) add_member(before, "held", job.held ? "true" : "false");
  std::vector<core::Event> wanted;
  if (changes) wanted.emplace_back(std::move(changed));
  if (holds && *change.held) wanted.emplace_back(core::JobHeld{id, caller.name()});
  if (holds && !*change.held) wanted.emplace_back(core::JobReleased{id, caller.name()});
  if (auto problem = co_await record_for(caller, id, std::move(wanted)))
    co_return std::unexpected(std::move(*problem));
  Done done;
  done.changed = changes || holds;
  if (done.changed) done.undo = Undo{"PATCH", fmt::format("/jobs/{}", id), "{" + before + "}"};
  co_return done;
}

awaitable<CommandOutcome> InstructorFace::Impl::cancel_job(Caller caller, JobId id, milliseconds undo) {
  const core::JobFacts* job = workshop.core().job(id);
  if (job == nullptr || !caller.owns(job->submitted.participant))
    co_return std::unexpected(not_waiting(caller, id));
  Done done;
  const bool waits = !job->lease;
  if (job->cancel_requested) {
    done.changed = false;
    co_return done;
  }
  if (!waits || undo.count() == 0) {
    if (auto problem = co_await record_for(caller, id, one(core::CancelRequested{id, caller.name()})))
      co_return std::unexpected(std::move(*problem));
    co_return done;
  }
  done.undo = undo_cancel_of(id);
  if (job->cancel_at) {
    done.changed = false;
    co_return done;
  }
  core::CancelScheduled event;
  event.job = id;
  event.at = workshop.now() + undo;
  event.by = caller.name();
  if (auto problem = co_await record_for(caller, id, one(std::move(event))))
    co_return std::unexpected(std::move(*problem));
  co_return done;
}

awaitable<CommandOutcome> InstructorFace::Impl::undo_cancel(Caller caller, JobId id) {
  const auto found = waiting_job(caller, id);
  if (!found) co_return std::unexpected(found.error());
  Done done;
  done.changed = (*found)->cancel_at.has_value();
  if (!done.changed) co_return done;
  if (!caller.is_instructor() && !own_cancels.contains(id))
    co_return std::unexpected(Problem(403, "The instructor cancels this job: ask them."));
  if (auto problem = co_await record_for(caller, id, one(core::CancelUndone{id, caller.name()})))
    co_return std::unexpected(std::move(*problem));
  done.undo = Undo{"POST", fmt::format("/jobs/{}/cancel", id)};
  co_return done;
}

}  // namespace atelier::gateway
