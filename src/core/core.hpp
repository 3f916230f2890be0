// SPDX-License-Identifier: MIT
#pragma once
// The workshop's rules: three pure functions over one state (design.md 3, core.md). No I/O, threads, clock,
// randomness. Same entries, same state and effects, byte for byte. One thread.

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "core/limits.hpp"
#include "core/types/effects.hpp"
#include "core/types/events.hpp"
#include "core/types/facts.hpp"

namespace atelier::core {

/// Caps from the configuration; 0 = none. They are admission, not invariants (core.md 3).
struct AdmissionLimits {
  std::uint32_t waiting_per_participant_max = 50;
  std::uint32_t waiting_max = 5'000;
};
/// What is between `admit` and `apply`: counted by the workshop.
struct InFlight {
  std::uint32_t of_participant = 0;
  std::uint32_t in_all = 0;
};

/// How far affinity (a worker runs what it has loaded) may put a job behind the order without it.
struct Affinity {
  std::optional<std::uint32_t> places_max;  // how often another goes first; empty: no limit
  /// In all; empty: the larger of 60 s and a tenth of what the job has waited, at most 300 s.
  std::optional<milliseconds> delay_max;
};

/// What the operator configured of policy; 0 = none. Only its results are recorded, as of all policy.
struct PolicySettings {
  /// A job that runs longer, and a margin in which its agent ends it, ends as failed.
  milliseconds job_limit{0};
  /// Of each participant whose own cap is 0, granted and not computed.
  std::uint32_t running_per_participant_max = 0;
};

struct Decision {
  std::vector<Event> proposals;  // they stand first in the next batch
  std::optional<Time> next_at;   // when it would propose something without a new event
};

/// Numbers of one participant, as ComfyUI's faces need them.
struct LaneCounts {
  std::uint32_t waiting = 0;  // queued and held, without those whose cancel is under way
  std::uint32_t leased = 0;   // granted, not started
  std::uint32_t running = 0;
};

struct QueueCopy;
class QueueCopier;

class Core {
 public:
  struct State;  // defined inside core (state.hpp); nobody else needs it

  explicit Core(Limits limits = {});
  ~Core();
  Core(Core&&) noexcept;
  Core& operator=(Core&&) noexcept;

  /// Asked before anything is written. Errors: queue_full (429), unavailable (a hard limit, 503),
  /// bad_request.
  [[nodiscard]] Result<void> admit(const Event& event, const AdmissionLimits& caps,
                                   const InFlight& in_flight) const;
  /// Records the fact; an entry that does not fit has no effect and says so. Entries come in order of their
  /// sequence.
  std::vector<Effect> apply(const Entry& entry);
  /// Policy. Its proposals count only when the journal gives them back; never called again before that.
  [[nodiscard]] Decision decide(Time now, const Affinity& affinity = {},
                                const PolicySettings& settings = {}) const;
  /// What decide would grant if every busy slot were free now; at most one job per slot, a job once.
  [[nodiscard]] std::vector<LikelyNext> likely_next(Time now) const;
  /// What a forecast needs of the present (forecast.hpp), at once: 0.1 to 0.7 ms for 1,000 waiting jobs.
  [[nodiscard]] QueueCopy copy_queue(Time now, const Affinity& affinity = {},
                                     const PolicySettings& settings = {}) const;

  // -- reading: references are valid until the next apply; never kept across a co_await
  // --------------------------
  [[nodiscard]] const WorkshopFacts& workshop() const;
  [[nodiscard]] const JobFacts* job(JobId job) const;
  /// The participant's live job (waiting, leased, running) with this prompt_id.
  [[nodiscard]] const JobFacts* live(ParticipantId participant, std::string_view prompt_id) const;
  [[nodiscard]] const ParticipantFacts* participant(ParticipantId participant) const;
  /// The lowest of those that have joined and are not lost; 0: none.
  [[nodiscard]] GatewayId first_gateway() const;
  [[nodiscard]] const WorkerFacts* worker(WorkerId worker) const;
  [[nodiscard]] const WorkerFacts* worker(std::string_view name) const;
  [[nodiscard]] const UnlinkedCommit* unlinked(JobId job, std::string_view node) const;
  [[nodiscard]] const EnrolmentFacts* enrolment(EnrolmentId enrolment) const;
  [[nodiscard]] const EnrolmentFacts* enrolment(const Digest& token) const;
  /// The key that was pinned last to this worker's name; it may have been revoked.
  [[nodiscard]] const WorkerKeyFacts* worker_key(std::string_view worker) const;
  /// What this use of an enrolment would come to, if it were recorded now.
  [[nodiscard]] EnrolmentVerdict judge(const EnrolmentUsed& use, Time now) const;
  [[nodiscard]] LaneCounts counts(ParticipantId participant) const;
  [[nodiscard]] std::size_t jobs_waiting() const;  // in the whole workshop
  [[nodiscard]] std::size_t jobs_live() const;
  /// The participant's live jobs: running and leased first (by job id), then waiting in the lane's order.
  void each_job_of(ParticipantId participant, const std::function<void(const JobFacts&)>& visit) const;
  void each_job(const std::function<void(const JobFacts&)>& visit) const;              // by job id
  void each_worker(const std::function<void(const WorkerFacts&)>& visit) const;        // by worker id
  void each_enrolment(const std::function<void(const EnrolmentFacts&)>& visit) const;  // the oldest first
  void each_unlinked(const std::function<void(const UnlinkedCommit&)>& visit) const;   // by (job, node)
  [[nodiscard]] bool knows_capability(const Digest& hash) const;
  /// True if a connected slot can run jobs of these classes and models (a worker that drains or is paused
  /// counts).
  [[nodiscard]] bool able_worker_exists(const JobFacts& job) const;

  // -- checkpoint
  // --------------------------------------------------------------------------------------------------
  /// State's facts in a fixed order (history's summaries are the workshop's to add).
  [[nodiscard]] std::vector<CheckpointRecord> export_facts() const;
  /// Into an empty core; `finish_import` rebuilds the index. Property: import(export(S)) == S.
  void import_fact(const CheckpointRecord& record);
  void finish_import();

 private:
  friend class QueueCopier;
  std::unique_ptr<State> state_;
};

}  // namespace atelier::core
