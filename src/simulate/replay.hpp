// SPDX-License-Identifier: MIT
#pragma once
// Replays a trace through the production core on a virtual clock (the semantics of atelier-trace/1).

#include "core/core.hpp"
#include "simulate/schedule.hpp"

namespace atelier::simulate {

struct ReplayOptions {
  core::QueueMode mode = core::QueueMode::round_robin;
  core::Affinity affinity;
  bool etas = false;       // one for each submission, after the decisions of its instant
  std::uint64_t seed = 1;  // of what is drawn for them
  bool measure = true;     // wall time and the time of each decision
};

/// Everything that happens in the trace, until no job waits or runs any more. The same input gives the same
/// schedule on every machine.
[[nodiscard]] Schedule replay(const Trace& trace, const ReplayOptions& options);

}  // namespace atelier::simulate
