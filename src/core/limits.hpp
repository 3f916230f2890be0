// SPDX-License-Identifier: MIT
#pragma once
// Every container of core is bounded; each of these numbers is reached by a test (core.md, first lines).

#include <cstddef>
#include <cstdint>

namespace atelier::core {

struct Limits {
  std::size_t jobs_max = 200'000;  // that have not ended; above: refused with 503
  std::size_t participants_max = 10'000;
  std::size_t workers_max = 1'024;
  std::size_t slots_per_worker_max = 64;
  std::size_t capabilities_max = 64;
  std::size_t unlinked_commits_max = 10'000;
  std::size_t commits_per_job_max = 5'000;
  std::size_t files_per_commit_max = 5'000;
  std::size_t name_counters_max = 256;  // per participant
  std::size_t run_histories_max = 4'096;
  std::size_t runs_per_history_max = 32;
  std::size_t passed_max = 1'024;
  std::size_t moved_max = 4'096;
  std::size_t holds_max = 64;
  std::size_t timetable_max = 256;
  std::size_t enrolments_max = 256;
  std::size_t worker_keys_max = 1'024;
};

/// Of a weight and of a speed, in thousandths: a thousand times the usual.
inline constexpr std::uint32_t kMilliMax = 1'000'000;

inline constexpr std::uint64_t kEnrolmentLifetimeMaxMs = 86'400'000;

/// The limits of decide (core.md 5), and its delays.
inline constexpr std::uint32_t kDeathsMax = 3;
inline constexpr std::uint32_t kLossesMax = 10;
inline constexpr std::int64_t kCancelAnswerMs = 10'000;
inline constexpr std::int64_t kJobLimitMarginMs = 60'000;  // for the agent to enforce it first

}  // namespace atelier::core
