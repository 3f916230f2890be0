// SPDX-License-Identifier: MIT
// Moves: the instructor's through the whole queue, a participant's among their own jobs.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {
namespace {

using core::MovePlace;

Undo move_to(JobId job, std::string_view place, JobId anchor) {
  return {"POST", fmt::format("/jobs/{}/move", job),
          fmt::format(R"({{"place":"{}","anchor":{}}})", place, anchor)};
}

/// Back to where it stands now in the list; out of it, if it is not there.
Undo move_back(const std::vector<JobId>& moved, JobId job) {
  const auto place = std::ranges::find(moved, job);
  if (place == moved.end()) return {"DELETE", fmt::format("/jobs/{}/move", job)};
  if (place + 1 != moved.end()) return move_to(job, "before", *(place + 1));
  // Who came along with the last job leaves the list with it: named, they come along again.
  if (place != moved.begin()) return move_to(job, "after", *(place - 1));
  return {"POST", fmt::format("/jobs/{}/move", job), R"({"place":"last"})"};
}

/// Where a job stands among its owner's waiting ones.
struct LanePlace {
  JobId job;
  double number = 0;
  bool at_head = false;
};

}  // namespace

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
    if (std::ranges::find(moved, move.anchor) != moved.end()) {
      event.anchor = move.anchor;
    } else {
      auto ahead = ahead_of(id, move);
      if (!ahead) co_return std::unexpected(std::move(ahead).error());
      event.place = MovePlace::last;
      event.ahead = std::move(*ahead);
    }
  }
  Done done;
  done.undo = move_back(moved, id);
  if (auto problem = co_await record_for(caller, id, one(std::move(event))))
    co_return std::unexpected(std::move(*problem));
  co_return done;
}

awaitable<CommandOutcome> InstructorFace::Impl::undo_move(Caller caller, JobId id) {
  if (const auto found = waiting_job(caller, id); !found) co_return std::unexpected(found.error());
  const std::vector<JobId>& moved = workshop.core().workshop().moved;
  Done done;
  done.changed = std::ranges::find(moved, id) != moved.end();
  if (!done.changed) co_return done;
  done.undo = move_back(moved, id);
  if (auto problem = co_await record_for(caller, id, one(core::MoveUndone{id, caller.name()})))
    co_return std::unexpected(std::move(*problem));
  co_return done;
}

std::vector<JobId> InstructorFace::Impl::list_of(const Caller& caller) const {
  if (caller.is_instructor()) return workshop.core().workshop().moved;
  std::vector<JobId> lane;
  workshop.core().each_job_of(caller.participant, [&](const core::JobFacts& job) {
    if (!job.lease && !job.cancel_requested) lane.push_back(job.job);
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
  const std::vector<JobId> now = list_of(caller);
  for (auto behind = place + 1; behind != list.end(); ++behind) {
    const bool stands = !later.contains(*behind) && std::ranges::find(now, *behind) != now.end();
    if (stands && waiting_job(caller, *behind)) return {MovePlace::before, *behind};
  }
  return {MovePlace::first, {}};
}

awaitable<CommandOutcome> InstructorFace::Impl::put_back(Caller caller, JobId id,
                                                         const std::vector<JobId>& list,
                                                         std::set<JobId> later) {
  if (std::ranges::find(list, id) == list.end()) co_return co_await undo_move(caller, id);
  while (true) {
    const JobMove move = place_in(caller, id, list, later);
    CommandOutcome outcome = co_await move_job(caller, id, move);
    const bool anchor_gone = move.anchor && !waiting_job(caller, move.anchor);
    if (outcome || !anchor_gone || !waiting_job(caller, id)) co_return outcome;
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
  done.undo =
      was < lane.size() ? move_to(id, "before", lane[was].job) : move_to(id, "after", lane.back().job);
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
