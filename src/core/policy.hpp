// SPDX-License-Identifier: MIT
#pragma once
// decide: who is next, what is given up. It may change in every release, because only its results are
// recorded. Within one call it keeps a scratch of what it has proposed. Internal to core.

#include <map>
#include <optional>
#include <queue>
#include <set>
#include <utility>
#include <vector>

#include "core/state.hpp"

namespace atelier::core {

/// True if a slot with this capability (and its worker's name and tags) can run jobs of these needs.
[[nodiscard]] bool able(const Core::State& state, const WorkerFacts& worker, const SlotFacts& slot,
                        const Needs& needs);

class Policy {
 public:
  Policy(const Core::State& state, Time now) : state_(state), now_(now) {}
  Decision run();
  std::vector<LikelyNext> foresee();

 private:
  struct FreeSlot {
    const WorkerFacts* worker;
    const SlotFacts* slot;
  };
  /// What this call has taken from a lane: its jobs, and how many it may count against a cap.
  struct Taken {
    std::set<JobId> jobs;
    std::uint32_t granted = 0;
  };

  void end_what_is_over();
  /// Slots in this state of workers that take jobs.
  void find_slots(SlotState state);
  void grant_all();
  void grant_moved();
  void grant_instructor();
  void grant_in_common_order();
  /// Grants the lane's first able job; false if none of its jobs can start now.
  bool grant_from(ParticipantId owner, const Lane& lane);
  bool may_start(ParticipantId owner) const;
  /// Index into free_ of the slot for these needs, or -1.
  std::ptrdiff_t slot_for(KindId kind);
  void grant(const JobFacts& job, std::ptrdiff_t slot);

  const Core::State& state_;
  Time now_;
  Decision decision_;
  std::vector<FreeSlot> free_;
  std::map<ParticipantId, Taken> taken_;
  std::set<KindId> hopeless_;  // kinds that no free slot can run: tested once
};

}  // namespace atelier::core
