// SPDX-License-Identifier: MIT
#pragma once
// What decide may grant, checked against the state before each grant: holds, caps, pins and pauses in every
// mode, the whole order of fifo and priority, and in fair turns how far anybody may fall behind.
//
// Fair turns. While no waiting job needs a model, affinity does not act, and one sentence holds for every
// grant of every seed, whatever weights, holds and caps there are: nobody who could have had this turn lies
// further behind than one longest job, in charged GPU time by weight. With models the order counts loads
// several times (so that few are made), and affinity lets others go first; no number of jobs bounds that.
// What holds instead: the job that is first in the strict order goes, or it is named in `passed`, and nobody
// is passed any more once others have gone before them for max(60 s, a tenth of the wait), at most 300 s.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/core.hpp"
#include "world.hpp"

namespace atelier::sim {

class Rules {
 public:
  Rules(World& world, const core::Core& core, milliseconds job_limit)
      : world_(world), core_(core), job_limit_(job_limit) {}

  /// Before the entry is applied to the core, and after it.
  void before(const core::Entry& entry);
  void after(const core::Entry& entry, const std::vector<core::Effect>& effects);
  /// The server knows only the checkpoint's facts; what runs taught it before is estimated anew, and its
  /// strict order may be another than the replay's.
  void opened_from_checkpoint() { same_estimates_ = false; }

 private:
  struct Slot {
    const core::WorkerFacts* worker;
    const core::SlotFacts* slot;
  };
  /// How long others have gone before a job.
  struct Delay {
    std::int64_t closed_ms = 0;
    std::optional<Time> since;
  };
  using Job = core::JobFacts;

  void look_at_slots_and_jobs();
  void check_grant(Time time, const core::Leased& leased);
  void check_place(const core::Leased& leased, const Job& job) const;
  void check_owner(const core::Leased& leased, const Job& job) const;
  void check_order(const core::Leased& leased, const Job& job) const;
  [[nodiscard]] const Job* first_in_order() const;
  void check_fair(Time time, const core::Leased& leased, const Job& job);
  void check_lag(const core::Leased& leased, const Job& job) const;
  void check_delays(Time time, const core::Leased& leased);
  void count_delays(Time time, const core::Leased& leased);
  void on_ended(const core::JobEnded& ended) const;
  [[nodiscard]] bool may_start(ParticipantId owner) const;
  [[nodiscard]] bool able(const Job& job, const Slot& slot) const;
  /// It waits, nothing holds it, its owner may start one, and there is a slot for it.
  [[nodiscard]] bool can_start(const Job& job) const;
  [[nodiscard]] std::uint64_t start_tag(ParticipantId owner) const;
  [[nodiscard]] std::uint32_t weight_of(ParticipantId owner) const;
  [[nodiscard]] bool is_moved(JobId job) const;

  World& world_;
  const core::Core& core_;
  milliseconds job_limit_;
  std::map<Digest, core::Capability> capabilities_;
  std::map<JobId, Delay> delays_;
  std::set<JobId> undone_;             // whose cancel was taken back
  std::uint64_t longest_ms_ = 20'000;  // any job that was granted; what is expected of an unknown one
  std::uint64_t virtual_time_ = 0;
  bool same_estimates_ = true;
  bool first_of_batch_ = true;  // of its grants
  Time last_;
  // Of the state before the present grant.
  std::vector<Slot> idle_;
  std::vector<const Job*> queued_;
  std::map<ParticipantId, std::uint32_t> occupying_;
};

}  // namespace atelier::sim
