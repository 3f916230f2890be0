// SPDX-License-Identifier: MIT
#include "workshop/standings.hpp"

#include <algorithm>
#include <set>

namespace atelier::workshop {
namespace {

/// What is new in front of a place: counted once along the order.
struct Newcomers {
  std::set<ParticipantId> pressed;  // who pressed Run since
  std::uint32_t back = 0;           // jobs that wait again
  std::uint32_t moved = 0;          // of the instructor's list, from behind
};

void tell_worse(Standing& job, const Newcomers& ahead, bool mode_changed) {
  const bool instructor = ahead.pressed.contains(ParticipantId{}) && job.owner != ParticipantId{};
  const bool own = ahead.pressed.contains(job.owner);
  job.worse_people = static_cast<std::uint32_t>(ahead.pressed.size()) - instructor - own;
  job.worse_jobs = ahead.moved > 0 ? ahead.moved : ahead.back;
  job.worse = mode_changed           ? WorseCause::mode
              : ahead.moved > 0      ? WorseCause::moved
              : instructor           ? WorseCause::instructor
              : job.worse_people > 0 ? WorseCause::pressed_run
              : own                  ? WorseCause::own
              : ahead.back > 0       ? WorseCause::came_back
                                     : WorseCause::turns;
}

void place_jobs(StandingsView& view, const core::QueueCopy& queue, const StandingsView* before) {
  std::set<JobId> moved;
  for (const std::uint32_t row : queue.moved) moved.insert(queue.rows[row].job);
  std::map<ParticipantId, std::uint32_t> seen;  // jobs of each owner so far
  Newcomers ahead;
  for (std::uint32_t i = 0; i < view.order.size(); ++i) {
    Standing& job = *std::ranges::lower_bound(view.jobs, view.order[i], {}, &Standing::job);
    job.place = i + 1;
    job.own_ahead = seen[job.owner]++;
    job.jobs_ahead = i - job.own_ahead;
    const bool after_instructor = job.owner != ParticipantId{} && seen.contains(ParticipantId{});
    job.people_ahead = static_cast<std::uint32_t>(seen.size()) - 1 - after_instructor;
    if (before == nullptr) continue;
    const Standing* const old = before->find(job.job);
    if (old == nullptr || old->place == 0) {
      if (old == nullptr && job.job > before->newest) {
        ahead.pressed.insert(job.owner);
      } else {
        ++ahead.back;
      }
      continue;
    }
    if (moved.contains(job.job) && job.place < old->place) ++ahead.moved;
    if (job.place > old->place) {
      tell_worse(job, ahead, before->mode != view.mode);
      job.worse_from = old->place;
    } else if (job.place == old->place) {
      job.worse = old->worse;
      job.worse_from = old->worse_from;
      job.worse_people = old->worse_people;
      job.worse_jobs = old->worse_jobs;
    }
  }
}

}  // namespace

const Standing* StandingsView::find(JobId job) const {
  const auto found = std::ranges::lower_bound(jobs, job, {}, &Standing::job);
  return found == jobs.end() || found->job != job ? nullptr : &*found;
}

StandingsView make_standings(const core::QueueCopy& queue, const core::EtaSpread& spread,
                             const StandingsView* before, std::uint64_t seed) {
  StandingsView view;
  view.at = queue.now;
  view.mode = queue.mode;
  view.newest = queue.newest;
  for (const core::QueueCopy::Lane& lane : queue.lanes) {
    for (std::uint32_t i = lane.first; i < lane.first + lane.count; ++i) {
      Standing& job = view.jobs.emplace_back();
      job.job = queue.rows[i].job;
      job.owner = queue.owners[lane.owner].participant;
    }
  }
  for (const core::QueueCopy::Slot& slot : queue.slots) {
    if (!slot.job) continue;
    Standing& job = view.jobs.emplace_back();
    job.job = slot.job;
    job.owner = queue.owners[slot.owner].participant;
  }
  // A copy made in pieces may have a job twice: it runs by now, or has another place.
  std::set<JobId> told;
  for (const core::QueueCopy::Slot& slot : queue.slots) told.insert(slot.job);
  std::ranges::sort(view.jobs, {}, &Standing::job);
  const auto repeated = std::ranges::unique(view.jobs, {}, &Standing::job);
  view.jobs.erase(repeated.begin(), repeated.end());
  for (const JobId job : core::starting_order(queue)) {
    if (told.insert(job).second) view.order.push_back(job);
  }
  place_jobs(view, queue, before);
  if (queue.paused || !queue.usable) return view;
  for (const core::JobForecast& foretold : core::forecast(queue, {.seed = seed, .only = {}})) {
    Standing& job = *std::ranges::lower_bound(view.jobs, foretold.job, {}, &Standing::job);
    if (foretold.ready_ms.empty() || job.ready) continue;
    const std::int64_t middle = foretold.middle_ms();
    job.ready = {middle, static_cast<std::int64_t>(static_cast<double>(middle) * spread.stretch(middle))};
  }
  return view;
}

}  // namespace atelier::workshop
