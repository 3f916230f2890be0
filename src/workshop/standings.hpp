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

/// Why a job's place is worse than it was.
enum class WorseCause : std::uint8_t {
  none,
  pressed_run,  // `people` have pressed Run and come first
  came_back,    // `jobs` that had been taken, or held, wait again
  moved,        // the instructor moved `jobs` ahead
  instructor,   // the instructor's own job goes first
  own,          // the owner's own job goes first
  mode,         // another order of the queue
  turns,        // others' turns come first now
};

struct Standing {
  JobId job;
  ParticipantId owner;
  std::uint32_t place = 0;  // from 1; 0: it runs, or cannot start as things are
  /// Others' jobs, other people (without the instructor), own jobs.
  std::uint32_t jobs_ahead = 0, people_ahead = 0, own_ahead = 0;
  /// Milliseconds from the view's time: the middle, and when nine in ten are ready. Empty: unknown.
  struct Ready {
    std::int64_t early = 0, late = 0;
  };
  std::optional<Ready> ready;
  WorseCause worse = WorseCause::none;  // until its place changes again
  std::uint32_t worse_from = 0;         // the place that it had
  std::uint32_t worse_people = 0, worse_jobs = 0;
};

struct StandingsView {
  Time at;
  core::QueueMode mode = core::QueueMode::fifo;
  JobId newest;                // job of the queue
  std::vector<JobId> order;    // the jobs that will start, first to last
  std::vector<Standing> jobs;  // of all that wait (and may) or run, by job id
  [[nodiscard]] const Standing* find(JobId job) const;
};

/// `before`: the view told before, or null.
[[nodiscard]] StandingsView make_standings(const core::QueueCopy& queue, const core::EtaSpread& spread,
                                           const StandingsView* before, std::uint64_t seed);

}  // namespace atelier::workshop
