// SPDX-License-Identifier: MIT
#pragma once
// Where each job stands in the order, when it will be ready, and why a place got worse: made from a copy of
// the queue and what was told before. Pure; any thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/eta_errors.hpp"
#include "core/forecast.hpp"

namespace atelier::workshop {

/// Why a job's place is worse than it was, or why it will be ready later.
enum class WorseCause : std::uint8_t {
  none,
  pressed_run,  // `people` have pressed Run and come first
  came_back,    // `jobs` that had been taken, or held, wait again
  moved,        // the instructor moved `jobs` ahead
  raised,       // `jobs` that have a higher priority than before go first
  instructor,   // the instructor's own job goes first
  own,          // the owner's own job goes first
  mode,         // another order of the queue
  shares,       // the instructor changed somebody's weight or cap
  turns,        // others' turns come first now
  // Of the time alone:
  worker,    // `worker` takes no jobs any more: `away` says why
  paused,    // the queue was
  held,      // the owner was
  overdue,   // a job that runs takes longer than expected
  expected,  // what is ahead is expected to take longer than before
};
struct Worse {
  WorseCause cause = WorseCause::none;
  std::uint32_t people = 0, jobs = 0;
  bool less_used = false;  // pressed_run, turns: these people have used less GPU time
  WorkerId worker = {};
  core::Obstacle away = core::Obstacle::none;
  bool operator==(const Worse&) const = default;
};

/// Of the jobs that start before a job, those that take a slot which it could have.
struct Ahead {
  std::uint32_t own = 0, instructor = 0;  // the owner's, the instructor's
  std::uint32_t listed = 0;               // in the instructor's list, which goes before the order
  // Of the others, by what the mode goes by:
  std::uint32_t higher = 0;     // of a higher priority
  std::uint32_t before = 0;     // of an earlier place in the common order; in fair turns, submitted earlier
  std::uint32_t others = 0;     // all of them
  std::uint32_t people = 0;     // whose they are
  std::uint32_t less_used = 0;  // of these people, who have used less GPU time than the owner
};

struct Standing {
  JobId job;
  ParticipantId owner;
  std::uint32_t place = 0;  // from 1; 0: it runs, or cannot start as things are
  /// Others' jobs, other people (without the instructor), own jobs.
  std::uint32_t jobs_ahead = 0, people_ahead = 0, own_ahead = 0;
  /// Milliseconds from the view's time: the middle, and when nine in ten are ready; may lie in the past.
  /// Empty: unknown. Of a job that waits it is what was told before, as long as the new one differs by
  /// little.
  struct Ready {
    std::int64_t early = 0, late = 0;
  };
  std::optional<Ready> ready;
  // Of a job that has a place, or of what keeps it from having one:
  Ahead ahead;
  bool listed = false;  // the instructor has moved it; not: it only stood before one that was
  WorkerId starts_on;   // none: nobody has ever joined
  WorkerId awaits;      // affinity leaves another slot idle for this one, which holds its models; or none
  std::int64_t starts_in = 0;          // milliseconds from the view's time
  std::uint32_t kind = 0;              // of the view's kinds; of a job that waits
  std::uint32_t running_max = 0;       // its owner has so many jobs running and may not have more; 0: may
  std::optional<std::int64_t> middle;  // as `early`, but of this view alone: what the forecast is judged by
  Worse worse;                         // until its place changes again
  std::uint32_t worse_from = 0;        // the place that it had
  Worse later;                         // until it will be ready sooner, or later again
  Worse interrupted;                   // why nothing is foretold, though something was told
  std::optional<Ready> told;           // as `ready`, but from workshop time 0: kept while nothing is foretold
  core::PriorityLevel level = core::PriorityLevel::instructor;
};

struct StandingsView {
  Time at;
  core::QueueMode mode = core::QueueMode::fifo;
  JobId newest;                // job of the queue
  std::vector<JobId> order;    // the jobs that will start, first to last
  std::vector<Standing> jobs;  // of all that wait (and may) or run, by job id
  std::vector<core::QueueCopy::Kind> kinds;
  // What the next view is compared with:
  std::vector<WorkerId> workers;  // that take jobs, sorted
  struct Share {
    std::uint32_t weight_milli = 1000, running_max = 0;
    bool operator==(const Share&) const = default;
  };
  std::map<ParticipantId, Share> shares;  // of who has jobs
  [[nodiscard]] const Standing* find(JobId job) const;
};

/// `before`: the view told before, or null.
[[nodiscard]] StandingsView make_standings(const core::QueueCopy& queue, const core::EtaSpread& spread,
                                           const StandingsView* before, std::uint64_t seed);

}  // namespace atelier::workshop
