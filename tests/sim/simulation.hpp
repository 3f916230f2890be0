// SPDX-License-Identifier: MIT
#pragma once
// One run from one seed: a workshop with its people and workers, some minutes in which things break, then as
// long as it takes without new faults until every job has ended.

#include <cstdint>
#include <string>

namespace atelier::sim {

struct Report {
  std::uint64_t entries = 0, jobs = 0, servers = 0;
};

/// `folder` is empty and becomes the data folder. Ends the process with status 1 if an invariant does not
/// hold.
Report simulate(std::uint64_t seed, bool trace, const std::string& folder);

}  // namespace atelier::sim
