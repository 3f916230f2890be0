// SPDX-License-Identifier: MIT
#pragma once
// The words of core: enumerators equal their wire names (style.md 2). Stored as numbers in the journal: never
// renumber.

#include <cstdint>
#include <string_view>

namespace atelier::core {

enum class JobState : std::uint8_t { queued = 0, held = 1, leased = 2, running = 3 };
enum class Outcome : std::uint8_t { succeeded = 0, failed = 1, cancelled = 2 };
enum class QueueMode : std::uint8_t { fifo = 0, round_robin = 1, priority = 2 };
enum class PriorityLevel : std::uint8_t { instructor = 0, high = 1, normal = 2, low = 3 };
enum class SlotState : std::uint8_t { idle = 0, busy = 1, stopping = 2, engine_lost = 3 };
enum class OutputType : std::uint8_t { output = 0, temp = 1, input = 2 };
enum class MovePlace : std::uint8_t { first = 0, last = 1, before = 2, after = 3 };

/// Why a lease ended without a result.
enum class LossReason : std::uint8_t {
  link_expired = 0,  // no heartbeat for the time of the lease: counts with the evictions
  restarted = 1,     // the agent came back with another boot
  engine_died = 2,   // ComfyUI died while it ran
  evicted = 3,       // the provider took the machine
  worker_left = 4,   // the worker said good-bye with the job in hand
};
/// Why an agent gave a job back.
enum class ReturnReason : std::uint8_t {
  draining = 0,
  disk_full = 1,
  input_not_fetched = 2,
  slot_removed = 3,
  refused_by_engine = 4
};
/// Why a job ended, beyond its outcome.
enum class EndReason : std::uint8_t {
  finished = 0,           // the engine's own end: success, error or interruption
  cancel_unanswered = 1,  // the agent did not answer a stop in time
  cancelled_waiting = 2,  // cancelled before it was leased
  too_many_deaths = 3,    // its worker died three times while it ran
  too_many_returns = 4,   // given back or expired ten times
  time_limit = 5,
  outputs_lost = 6,  // the engine's files were missing, empty or outside its folders
  refused = 7,       // the engine refused the prompt
};
/// Of an enrolment. One that is open has expired when its time is over.
enum class EnrolmentState : std::uint8_t { open = 0, used = 1, revoked = 2 };
/// What becomes of a worker that shows an enrolment's token.
enum class EnrolmentVerdict : std::uint8_t {
  accepted = 0,  // its key may be pinned to its name
  repeated = 1,  // this very key is pinned to this name already
  unknown = 2,   // no enrolment has this token
  used = 3,      // another key was first, or this one was revoked since
  expired = 4,
  revoked = 5,       // before it was used
  other_worker = 6,  // the token is for another worker's name
  name_taken = 7,    // another key is pinned to the worker's name
  key_revoked = 8,   // of this worker: it needs a new one
  full = 9,          // no more keys are kept
};
enum class NoEffect : std::uint8_t {
  unknown_job = 0,
  stale_epoch = 1,  // the job does not hold a lease with this epoch
  stale_link = 2,   // not the worker's present link
  slot_taken = 3,
  job_not_queued = 4,
  already_ended = 5,
  live_rival = 6,      // a submit whose prompt_id waits or runs
  container_full = 7,  // a hard limit of State
  already_committed = 8,
  unknown_worker = 9,
  unknown_slot = 10,
  nothing_to_change = 11,
  bad_value = 12,
  unknown_enrolment = 13,
  enrolment_refused = 14,  // see EnrolmentVerdict
};

[[nodiscard]] std::string_view to_string(JobState);
[[nodiscard]] std::string_view to_string(Outcome);
[[nodiscard]] std::string_view to_string(QueueMode);
[[nodiscard]] std::string_view to_string(PriorityLevel);
[[nodiscard]] std::string_view to_string(SlotState);
[[nodiscard]] std::string_view to_string(OutputType);
[[nodiscard]] std::string_view to_string(MovePlace);
[[nodiscard]] std::string_view to_string(LossReason);
[[nodiscard]] std::string_view to_string(ReturnReason);
[[nodiscard]] std::string_view to_string(EndReason);
[[nodiscard]] std::string_view to_string(NoEffect);
[[nodiscard]] std::string_view to_string(EnrolmentVerdict);
/// True for what the instructor is to hear of.
[[nodiscard]] bool is_misuse(EnrolmentVerdict verdict);

}  // namespace atelier::core
