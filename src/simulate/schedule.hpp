// SPDX-License-Identifier: MIT
#pragma once
// What the scheduler made of a trace (format atelier-schedule/1).

#include <cstdint>
#include <string>
#include <vector>

#include "simulate/trace.hpp"

namespace atelier::simulate {

enum class RunOutcome : std::uint8_t {
  committed,
  lost,     // its worker died, or its ghost was stopped
  refused,  // its ghost finished after the job had been given away
};

struct Run {
  std::size_t job = 0, worker = 0;  // indexes
  std::uint64_t epoch = 1;
  std::int64_t lease = 0, start = 0, end = 0;  // decision, after loading, end
  bool loaded = false;
  RunOutcome outcome = RunOutcome::committed;
  std::int64_t requeued = -1;       // of lost and refused ones; -1: never
  std::vector<std::size_t> passed;  // waiting jobs that the order without affinity would have started before
};

/// What was foretold of a job: milliseconds from `time` to its end.
struct Eta {
  std::size_t job = 0;
  std::int64_t time = 0, p50 = 0, p90 = 0;
};

struct Schedule {
  std::string trace, policy;
  std::vector<Run> runs;  // in order of their leases
  std::vector<Eta> etas;  // in order of time; empty unless asked for
  std::int64_t wall_ms = 0, decision_p99_ns = 0;
};

[[nodiscard]] std::string print_schedule(const Trace& trace, const Schedule& schedule);

}  // namespace atelier::simulate
