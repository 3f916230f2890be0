// SPDX-License-Identifier: MIT
#pragma once
// Why a job waits and why its place got worse: a code for programs and the sentence that its owner reads
// (people.md, messages 2 to 12 and 26). For every way in which people are told of it. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "workshop/standings.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

struct WaitingWords {
  std::string_view code;  // of a fixed list, which stays as it is: "paused"
  std::string sentence;
};

/// Of a job without a lease. `standing`: its newest, or null. `policy`: what decide is given.
[[nodiscard]] WaitingWords why_it_waits(const core::Core& core, const core::JobFacts& job,
                                        const workshop::Standing* standing,
                                        const core::PolicySettings& policy);
/// Nothing while its place is not worse than it was.
[[nodiscard]] std::optional<WaitingWords> why_it_is_worse(const workshop::Standing* standing,
                                                          core::QueueMode mode);
/// How exactly people are told of what is `ms` away: to 1 min below 10 min, 5 min below 1 h, else 15 min.
[[nodiscard]] std::int64_t ready_step(std::int64_t ms);

}  // namespace atelier::gateway
