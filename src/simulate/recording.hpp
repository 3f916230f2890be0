// SPDX-License-Identifier: MIT
#pragma once
// What a journal says of its last day, as a trace that can be replayed with other workers or in another mode.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/core.hpp"
#include "simulate/trace.hpp"

namespace atelier::simulate {

struct Recorded {
  Trace trace;  // workers: one per slot that computed a job, with its worker's speed
  std::size_t jobs_ended = 0;
  std::int64_t makespan_ms = 0;  // from the first submission to the last end
  std::int64_t turnaround_mean_ms = 0;
};

class Recording {
 public:
  /// For each entry in order, before `core` applies it.
  void see(const core::Entry& entry, const core::Core& core);
  /// Of the 24 hours before the last entry. A job that never ran is taken for one like it; one that was
  /// cancelled before it ran is left out. Errors: not_found if no job was submitted in that time.
  [[nodiscard]] Result<Recorded> last_day() const;

 private:
  struct Run {
    std::uint64_t gpu_ms = 0;
    std::uint32_t speed_milli = 1000;
    bool loads = false;
    SlotId slot;
  };
  struct Job {
    Time submitted;
    WallTime wall;
    core::Submitted what;
    std::optional<Run> run;
    std::optional<Time> ended;
    bool cancelled = false;
  };
  using Median = std::map<std::uint64_t, std::int64_t>;
  [[nodiscard]] std::vector<const Job*> jobs_of_last_day() const;

  std::map<JobId, Job> jobs_;
  WallTime last_;
};

}  // namespace atelier::simulate
