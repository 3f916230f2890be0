// SPDX-License-Identifier: MIT
#pragma once
// The objects of the API as JSON text (docs/protocol/api.md). A job that waits or runs and one that has ended
// have the same members; what is not known is null. Pure: they read the workshop and change nothing.

#include <optional>
#include <string>
#include <vector>

#include "gateway/instructor/api_access.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "workshop/workshop.hpp"

namespace atelier::gateway {

/// When a moment of the workshop's time is by the wall. The two clocks are read one after the other, so that
/// they differ by one millisecond more or less from entry to entry; a moment that is told must not waver: it
/// changes if the wall clock was set.
class WallClock {
 public:
  [[nodiscard]] WallTime of(const core::Core& core, Time time);

 private:
  std::optional<std::int64_t> ahead_ms_;  // of the workshop's time
};

/// As people see it: a job that waits is held also while its participant or everybody is on hold.
[[nodiscard]] core::JobState shown_state(const core::Core& core, const core::JobFacts& job);
/// It waits and can have its turn: it is not held, not about to be cancelled, and its participant has GPU
/// time left.
[[nodiscard]] bool has_turn(const core::Core& core, const core::JobFacts& job);
[[nodiscard]] std::string job_view(const core::Core& core, const core::JobFacts& job, WallClock& clock);
[[nodiscard]] std::string job_view(const core::Summary& summary);
/// Mode, pause, hold, the instructor's list and how many jobs are in which state.
[[nodiscard]] std::string queue_view(const core::Core& core, std::uint64_t num_users);
[[nodiscard]] std::string participant_view(const core::Core& core, ParticipantId participant);
[[nodiscard]] std::string worker_view(const core::Core& core, const core::WorkerFacts& worker);
/// Without its token, which is nowhere. `now`: of the workshop.
[[nodiscard]] std::string enrolment_view(const core::EnrolmentFacts& enrolment, Time now);
/// What a worker said of itself last.
[[nodiscard]] std::string readings_view(const WorkerReadings& readings);
/// `"sequence":12,"time":1700000000000`: after which entry of the journal this was true.
[[nodiscard]] std::string as_of(const core::Core& core);

/// How many objects are printed at once, before others have their turn (core.md 9).
inline constexpr std::size_t kSlice = 250;

/// The jobs that wait (held ones, too), in the order in which they would start if nothing changed: exact in
/// fifo and priority; of fair turns an idea that knows nothing of models.
[[nodiscard]] std::vector<JobId> present_order(const core::Core& core);

}  // namespace atelier::gateway
