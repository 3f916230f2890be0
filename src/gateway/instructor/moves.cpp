// SPDX-License-Identifier: MIT
// Moves: the instructor's through the whole queue, a participant's among their own jobs.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {
namespace {

using core::MovePlace;

bool contains(const std::vector<JobId>& jobs, JobId job) {
  return std::ranges::find(jobs, job) != jobs.end();
}

/// Whether the job stands there already, and not because it came along.
bool stands_there(const core::WorkshopFacts& now, const core::Moved& move) {
  const auto place = std::ranges::find(now.moved, move.job);
  if (place == now.moved.end() || !move.ahead.empty() || contains(now.moved_along, move.job)) return false;
  switch (move.place) {
    case MovePlace::first:
      return place == now.moved.begin();
    case MovePlace::last:
      return place + 1 == now.moved.end();
    case MovePlace::before:
      return place + 1 != now.moved.end() && *(place + 1) == move.anchor;
    case MovePlace::after:
      return place != now.moved.begin() && *(place - 1) == move.anchor;
  }
  return false;
}

/// Where a job of `list` belongs in `now`: behind the nearest that stood before it there, else before the
/// nearest that stood behind it; the end if there is none.
std::ptrdiff_t place_among(const std::vector<JobId>& now, const std::vector<JobId>& list, JobId job,
                           const std::set<JobId>& later) {
  const auto place = std::ranges::find(list, job);
  for (auto before = place; before != list.begin();) {
    --before;
    const auto found = later.contains(*before) ? now.end() : std::ranges::find(now, *before);
    if (found != now.end()) return found - now.begin() + 1;
  }
  for (auto behind = place; behind != list.end(); ++behind) {
    const auto found = later.contains(*behind) ? now.end() : std::ranges::find(now, *behind);
    if (found != now.end()) return found - now.begin();
  }
  return std::ssize(now);
}

/// Where a job stands among its owner's waiting ones.
struct LanePlace {
  JobId job;
  double number = 0;
  bool at_head = false;
};

}  // namespace

std::optional<Undo> undo_of_moves(const std::vector<JobId>& jobs, const MoveList& before) {
  if (jobs.empty()) return std::nullopt;
  std::vector<JobId> list = before.jobs, listed, along;
  for (const JobId job : jobs) {
    if (contains(list, job)) listed.push_back(job);
    if (contains(before.along, job)) along.push_back(job);
  }
  if (list.size() > kMoveListMax) {
    if (jobs.size() > 1) return std::nullopt;
    // Of one job the nearest will do.
    const std::ptrdiff_t half = kMoveListMax / 2,
                         place = std::ranges::find(list, jobs.front()) - list.begin();
    list.erase(list.begin(), list.begin() + std::max<std::ptrdiff_t>(place - half, 0));
    list.resize(std::min(list.size(), kMoveListMax));
  }
  const auto member = [](std::string_view name, const std::vector<JobId>& ids) {
    return ids.empty() ? std::string() : fmt::format(R"(,"{}":[{}])", name, fmt::join(ids, ","));
  };
  // Who was in no list only leaves it.
  return Undo{"POST", "/jobs/actions",
              fmt::format(R"({{"action":"undo_move"{}{}{}}})", member("jobs", jobs),
                          listed.empty() ? "" : member("list", list), member("along", along))};
}

std::vector<JobId> InstructorFace::Impl::whole_order() const {
  std::vector<JobId> all = order();
  std::set<JobId> there(all.begin(), all.end());
  workshop.core().each_job([&](const core::JobFacts& job) {
    if (!job.lease && !job.cancel_requested && there.insert(job.job).second) all.push_back(job.job);
  });
  return all;
}

std::expected<std::vector<JobId>, Problem> InstructorFace::Impl::ahead_of(JobId job,
                                                                          const JobMove& move) const {
  const std::vector<JobId>& moved = workshop.core().workshop().moved;
  std::set<JobId> listed(moved.begin(), moved.end());
  std::vector<JobId> ahead;
  for (const JobId id : whole_order()) {
    const bool is_anchor = id == move.anchor;
    if (is_anchor && move.place == MovePlace::before) break;
    if (id != job && !listed.contains(id)) ahead.push_back(id);
    if (is_anchor) break;
  }
  if (ahead.size() <= options.ahead_max) return ahead;
  return std::unexpected(
      Problem(409, fmt::format("{} jobs stand before that place; a job can be moved behind {} at most.",
                               ahead.size(), options.ahead_max)));
}

awaitable<CommandOutcome> InstructorFace::Impl::move_job(Caller caller, JobId id, JobMove move) {
  if (!caller.is_instructor()) co_return co_await reorder_job(caller, id, move);
  if (const auto found = waiting_job(caller, id); !found) co_return std::unexpected(found.error());
  core::Moved event;
  event.job = id;
  event.place = move.place;
  event.by = caller.name();
  const std::vector<JobId>& moved = workshop.core().workshop().moved;
  if (move.place == MovePlace::before || move.place == MovePlace::after) {
    if (const auto anchor = waiting_job(caller, move.anchor); !anchor)
      co_return std::unexpected(anchor.error());
    if (contains(moved, move.anchor)) {
      event.anchor = move.anchor;
    } else {
      auto ahead = ahead_of(id, move);
      if (!ahead) co_return std::unexpected(std::move(ahead).error());
      event.place = MovePlace::last;
      event.ahead = std::move(*ahead);
    }
  }
  Done done;
  done.changed = !stands_there(workshop.core().workshop(), event);
  if (!done.changed) co_return done;
  if (auto problem = co_await record_for(caller, id, one(std::move(event))))
    co_return std::unexpected(std::move(*problem));
  co_return done;
}

awaitable<CommandOutcome> InstructorFace::Impl::undo_move(Caller caller, JobId id) {
  if (const auto found = waiting_job(caller, id); !found) co_return std::unexpected(found.error());
  Done done;
  done.changed = contains(workshop.core().workshop().moved, id);
  if (!done.changed) co_return done;
  if (auto problem = co_await record_for(caller, id, one(core::MoveUndone{id, caller.name()})))
    co_return std::unexpected(std::move(*problem));
  co_return done;
}

MoveList InstructorFace::Impl::list_of(const Caller& caller) const {
  const core::WorkshopFacts& now = workshop.core().workshop();
  if (caller.is_instructor()) return {now.moved, now.moved_along};
  MoveList lane;
  workshop.core().each_job_of(caller.participant, [&](const core::JobFacts& job) {
    if (!job.lease && !job.cancel_requested) lane.jobs.push_back(job.job);
  });
  return lane;
}

JobMove InstructorFace::Impl::place_in(const Caller& caller, JobId id, const std::vector<JobId>& list,
                                       const std::set<JobId>& later) const {
  const auto place = std::ranges::find(list, id);
  // Behind the nearest that still waits; what came along and left the list comes along again.
  for (auto before = place; before != list.begin();) {
    --before;
    if (!later.contains(*before) && waiting_job(caller, *before)) return {MovePlace::after, *before};
  }
  const std::vector<JobId> now = list_of(caller).jobs;
  for (auto behind = place + 1; behind != list.end(); ++behind) {
    const bool stands = !later.contains(*behind) && contains(now, *behind);
    if (stands && waiting_job(caller, *behind)) return {MovePlace::before, *behind};
  }
  return {MovePlace::first, {}};
}

awaitable<CommandOutcome> InstructorFace::Impl::put_back(Caller caller, JobId id, const MoveList& before,
                                                         std::set<JobId> later) {
  if (!contains(before.jobs, id)) {
    if (caller.is_instructor()) co_return co_await undo_move(caller, id);
    // A participant's jobs are in no other list of theirs.
    if (const auto found = waiting_job(caller, id); !found) co_return std::unexpected(found.error());
    co_return Done{false};
  }
  if (caller.is_instructor() && contains(before.along, id))
    co_return co_await put_along(caller, id, before.jobs, std::move(later));
  while (true) {
    const JobMove move = place_in(caller, id, before.jobs, later);
    CommandOutcome outcome = co_await move_job(caller, id, move);
    const bool anchor_gone = move.anchor && !waiting_job(caller, move.anchor);
    if (outcome || !anchor_gone || !waiting_job(caller, id)) co_return outcome;
  }
}

awaitable<CommandOutcome> InstructorFace::Impl::put_along(Caller caller, JobId id,
                                                          const std::vector<JobId>& list,
                                                          std::set<JobId> later) {
  while (true) {
    if (const auto found = waiting_job(caller, id); !found) co_return std::unexpected(found.error());
    const core::WorkshopFacts& now = workshop.core().workshop();
    std::vector<JobId> wanted = now.moved;
    std::erase(wanted, id);
    const auto was_moved = [&](JobId job) {
      return job != id && !contains(now.moved_along, job) && waiting_job(caller, job);
    };
    auto place = wanted.begin() + place_among(wanted, list, id, later);
    // Without one that was moved behind it, it would have left the list by now.
    if (std::none_of(place, wanted.end(), was_moved)) co_return co_await undo_move(caller, id);
    place = wanted.insert(place, id);
    if (wanted == now.moved && contains(now.moved_along, id)) co_return Done{false};
    // Who comes along enters at the end: those who were moved and stand behind it are moved there again.
    std::vector<core::Event> steps;
    if (contains(now.moved, id)) steps.emplace_back(core::MoveUndone{id, caller.name()});
    std::vector<JobId> again;
    std::copy_if(place, wanted.end(), std::back_inserter(again), was_moved);
    for (const JobId job : again) steps.emplace_back(core::MoveUndone{job, caller.name()});
    while (place != wanted.begin() && !was_moved(*(place - 1))) --place;
    std::vector<JobId> ahead;
    for (; place != wanted.end(); ++place) {
      if (!was_moved(*place)) {
        ahead.push_back(*place);
        continue;
      }
      core::Moved event;
      event.job = *place;
      event.place = MovePlace::last;
      event.by = caller.name();
      event.ahead = std::exchange(ahead, {});
      steps.emplace_back(std::move(event));
    }
    auto problem = co_await record_for(caller, id, std::move(steps));
    if (!problem) co_return Done{};
    const bool one_gone = std::ranges::any_of(again, [&](JobId job) { return !waiting_job(caller, job); });
    if (!one_gone || !waiting_job(caller, id)) co_return std::unexpected(std::move(*problem));
  }
}

awaitable<CommandOutcome> InstructorFace::Impl::reorder_job(Caller caller, JobId id, JobMove move) {
  if (const auto found = waiting_job(caller, id); !found) co_return std::unexpected(found.error());
  std::vector<LanePlace> lane;
  std::size_t was = 0;
  workshop.core().each_job_of(caller.participant, [&](const core::JobFacts& job) {
    if (job.lease || job.cancel_requested) return;
    if (job.job == id) {
      was = lane.size();
    } else {
      lane.push_back({job.job, job.number, job.at_head});
    }
  });
  Done done;
  done.changed = !lane.empty();
  if (lane.empty()) co_return done;
  std::size_t at = move.place == MovePlace::last ? lane.size() : 0;
  if (move.place == MovePlace::before || move.place == MovePlace::after) {
    const auto anchor = std::ranges::find(lane, move.anchor, &LanePlace::job);
    if (anchor == lane.end()) co_return std::unexpected(not_waiting(caller, move.anchor));
    at = static_cast<std::size_t>(anchor - lane.begin()) + (move.place == MovePlace::after ? 1 : 0);
  }
  done.changed = at != was;
  if (!done.changed) co_return done;
  core::JobReordered event;
  event.job = id;
  event.by = caller.name();
  // Given-back jobs stand before all others: the job joins those whose number it comes next to.
  const LanePlace& next = at < lane.size() ? lane[at] : lane.back();
  event.at_head = next.at_head;
  if (at == lane.size()) {
    event.number = next.number + 1;
  } else if (at == 0 || lane[at - 1].at_head != next.at_head) {
    event.number = next.number - 1;
  } else {
    event.number = lane[at - 1].number + (next.number - lane[at - 1].number) / 2;
    if (event.number <= lane[at - 1].number || event.number >= next.number)
      co_return std::unexpected(
          Problem(409, "There is no room between these two jobs: move the job to another place first."));
  }
  if (auto problem = co_await record_for(caller, id, one(std::move(event))))
    co_return std::unexpected(std::move(*problem));
  co_return done;
}

}  // namespace atelier::gateway
