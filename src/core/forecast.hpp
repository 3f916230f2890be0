// SPDX-License-Identifier: MIT
#pragma once
// When each job will probably be ready: the present queue simulated forward several times, with run times
// drawn from those seen and with the last quarter of an hour's arrivals mirrored into the future
// (docs/decisions/core-2026-11-29-forecast-on-a-copy.md). Pure; any thread.

#include <cstdint>
#include <optional>
#include <vector>

#include "core/queue_copy.hpp"

namespace atelier::core {

struct ForecastOptions {
  std::uint64_t seed = 1;
  std::uint32_t draws = 8;
  /// Only this job matters: a draw ends when it has been granted. 0: all.
  JobId only;
};

/// Milliseconds from the copy's time, of one draw each.
struct JobForecast {
  JobId job;
  std::vector<std::int64_t> ready_ms;  // sorted; empty: it does not start while nothing changes
  /// The middle of them; not of an empty one.
  [[nodiscard]] std::int64_t middle_ms() const {
    return (ready_ms[(ready_ms.size() - 1) / 2] + ready_ms[ready_ms.size() / 2]) / 2;
  }
};

/// Of every job that waits or runs, by job id (or of `only`).
[[nodiscard]] std::vector<JobForecast> forecast(const QueueCopy& queue, const ForecastOptions& options);

/// Of a job that waits, by the copy's rows and slots.
struct ExpectedStart {
  std::uint32_t row = 0, slot = 0;
  std::int64_t after_ms = 0;
  /// Affinity leaves (or will leave) another slot idle for this one, which holds the job's models.
  std::optional<std::uint32_t> awaits;
};

/// Of the jobs that wait, the first one first, if runs take what is expected and nobody submits another;
/// those that cannot start as things are, are not there.
[[nodiscard]] std::vector<ExpectedStart> expected_starts(const QueueCopy& queue);
/// The same without the rest.
[[nodiscard]] std::vector<JobId> starting_order(const QueueCopy& queue);

}  // namespace atelier::core
