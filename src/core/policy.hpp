// SPDX-License-Identifier: MIT
#pragma once
// decide: who is next, what is given up. It may change in every release, because only its results are
// recorded. Within one call it keeps a scratch of what it has proposed. Internal to core.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "core/state.hpp"

namespace atelier::core {

/// True if a slot with this capability (and its worker's name and tags) can run jobs of these needs.
[[nodiscard]] bool able(const Core::State& state, const WorkerFacts& worker, const SlotFacts& slot,
                        const Needs& needs);

/// The same for a kind that waits or has waited; classes and models are compared once.
[[nodiscard]] bool able_kind(const Core::State& state, KindId kind, const WorkerFacts& worker,
                             const SlotFacts& slot);

class Policy {
 public:
  Policy(const Core::State& state, Time now, const Affinity& affinity = {},
         const PolicySettings& settings = {})
      : state_(state), now_(now), affinity_(affinity), settings_(settings), call_(++state.policy_calls) {
    // No kind comes or goes during a call: what fits() gives stays where it is.
    if (state.fits.size() < state.waiting.counts().size()) state.fits.resize(state.waiting.counts().size());
  }
  Decision run();
  std::vector<LikelyNext> foresee();

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  struct FreeSlot {
    const WorkerFacts* worker;
    const SlotFacts* slot;
    const std::vector<std::string>* loaded;  // models of the last job that started there
    bool taken = false;
  };
  /// What this call has taken from a participant's lanes: jobs, and how many count against a cap.
  struct Taken {
    std::set<JobId> jobs;
    std::uint32_t granted = 0;
    std::optional<std::uint64_t> tag;  // of the ledger, once something was granted
  };
  /// A job's place in the fair order: its finish tag, then its age. Without a job: a lane's next turn that
  /// was not looked at yet, and comes no sooner.
  struct Turn {
    std::uint64_t finish = 0;
    JobId id;
    const WaitingJob* job = nullptr;
    std::size_t lane = 0;      // of the walk
    std::size_t slot = kNone;  // of free_
    bool loads = false;
    std::size_t before = 0;  // how many of its owner's jobs stand before it
    [[nodiscard]] std::pair<std::uint64_t, JobId> place() const { return {finish, id}; }
    bool operator>(const Turn& other) const { return place() > other.place(); }
  };
  /// A lane on a walk through the fair order: its tag after the jobs taken.
  struct LaneWalk {
    const Lane* lane = nullptr;
    std::uint32_t weight_milli = 1000;
    std::uint64_t tag = 0;
    bool front_has_slots =
        false;  // the index's first jobs are the next ones: each has a slot, none was granted
    bool listed = false;
    std::uint32_t job_count = 0;                                // once listed:
    std::array<const WaitingJob*, kLaneLookAhead> next_jobs{};  // the next ones that have a slot
    [[nodiscard]] std::span<const WaitingJob* const> jobs() const { return {next_jobs.data(), job_count}; }
    void take(std::size_t index) {
      std::copy(next_jobs.begin() + index + 1, next_jobs.begin() + job_count, next_jobs.begin() + index);
      --job_count;
    }
  };
  /// The lanes of a class, as a walk comes to them: by start tag and what a job of the class counts at least.
  struct LanesAhead {
    WaitingIndex::ByStart::const_iterator at, end;
    std::uint64_t weight = 0;
    [[nodiscard]] std::pair<std::uint64_t, JobId> least() const {
      return {std::get<0>(*at) + weight, std::get<1>(*at)};
    }
    bool operator>(const LanesAhead& other) const { return least() > other.least(); }
  };
  /// Jobs that would be passed, and for how long the most pressing of them may wait still.
  struct Passed {
    std::vector<const JobFacts*> jobs;
    std::int64_t slack_ms = INT64_MAX;
  };
  /// A slot that computes, and when it will probably be free.
  struct BusySlot {
    const WorkerFacts* worker;
    const SlotFacts* slot;
    const std::vector<std::string>* loaded;
    std::int64_t remaining_ms = 0;
    bool awaited = false;
  };

  void end_what_is_over();
  /// A timer that ends a job: not yet, it is when decide would do something.
  bool is_due(Time at);
  void end_what_ran_too_long();
  /// Slots in this state of workers that take jobs.
  void find_slots(SlotState state);
  void grant_all();
  void grant_moved();
  void grant_instructor();
  void grant_in_common_order();
  /// Grants the lane's first able job; false if none of its jobs can start now.
  bool grant_from(ParticipantId owner, const Lane& lane);
  bool may_start(const LaneOwner& owner) const;
  /// Of this call; `best` may be that of slots which were taken since.
  KindFits& fits(KindId kind) {
    KindFits& fits = state_.fits[kind];
    if (fits.call != call_) compare(kind, fits);
    return fits;
  }
  void compare(KindId kind, KindFits& fits) const;
  void find_best(KindFits& fits) const;
  const KindFits& best_of(KindId kind) {
    KindFits& fits = this->fits(kind);
    if (fits.left != left_) find_best(fits);
    return fits;
  }
  /// The slot holds the models of this kind.
  bool holds(KindId kind, std::size_t slot) { return fits(kind).of_slots[slot] == Fit::holds; }
  /// The best slot for this kind holds its models.
  bool is_held(KindId kind) { return best_of(kind).held; }
  /// Index into free_ of the best slot for these needs: one that holds the models, then the fastest, then the
  /// first; kNone if there is none.
  std::size_t slot_for(KindId kind) { return best_of(kind).best; }
  /// The best free slot of a worker that did not give this job back last; `slot` if there is none.
  std::size_t with_another_worker(const WaitingJob& job, std::size_t slot);
  void grant(const WaitingJob& job, std::size_t slot, const std::vector<const JobFacts*>& passed = {});
  /// The owner's, which was `recorded`, after what this call has granted.
  std::uint64_t start_tag(ParticipantId owner, std::uint64_t recorded) const;

  // round_robin (fair_turns.cpp)
  void grant_fair_turns();
  /// Grants one job; false if none can start.
  bool grant_one_turn();
  /// The lane's first job that was not granted and has a slot; null if there is none.
  const WaitingJob* head_of(const LaneWalk& lane);
  void list(LaneWalk& lane);
  LaneWalk walk_of(const Lane& lane);
  /// Of every class, its next lane first (a heap).
  std::vector<LanesAhead> lanes_ahead();
  /// A waiting job that was not granted yet and has a slot.
  bool has_slot(const LaneWalk& lane, const WaitingJob& job);
  /// The lane's next turn: its first job, or a later one that needs no load and may pass those before it.
  std::optional<Turn> turn_of(LaneWalk& lane, std::size_t index);
  /// The one after its first, if its first job is not listed and taken.
  std::optional<Turn> later_turn_of(LaneWalk& lane, std::size_t index);
  Turn make_turn(const LaneWalk& lane, std::size_t index, const WaitingJob& job);
  /// One of the lane's next jobs needs no load.
  bool holds_any(const LaneWalk& lane);
  /// The time until the next decision if this turn is taken: what a job that it passes is delayed by.
  std::int64_t delay_of(const Turn& turn);
  /// Affinity may delay the job by this much in all.
  std::int64_t delay_max_of(const JobFacts& job) const;
  /// How much longer others may go before this job; negative if they may not at all.
  std::int64_t slack_of(const JobFacts& job) const;
  void pass(Passed& passed, const JobFacts& job) const;
  /// What the job will cost its owner: its run, and the load if it needs one.
  std::uint64_t cost_of(const Turn& turn) const;
  /// What counts in the order: less of a run (between the order by start and that by finish), and more of a
  /// load, which costs everybody who waits; the more of them want these models, the less.
  std::uint64_t run_in_order(const Estimates::Known& estimate) const;
  std::uint64_t load_in_order(KindId kind, const Estimates::Known& estimate) const;
  /// Among slots that would have to load: the one whose models are wanted least.
  std::size_t slot_to_load(KindId kind);
  /// Once a call: only what is passed or has to load asks for them.
  void find_busy_slots();
  /// A busy slot that holds what the job needs and is free sooner than a load takes.
  BusySlot* worth_waiting_for(const Turn& turn);

  const Core::State& state_;
  Time now_;
  Affinity affinity_;
  PolicySettings settings_;
  Decision decision_;
  std::vector<FreeSlot> free_;
  std::size_t left_ = 0;  // of free_, not taken
  std::map<ParticipantId, Taken> taken_;
  std::uint64_t call_;                         // whose fits are those in State::fits
  std::map<JobId, std::uint32_t> passed_now_;  // by what this call has granted
  std::vector<BusySlot> busy_;                 // once looked for
  bool looked_for_busy_ = false;
  std::int64_t next_free_ms_ = INT64_MAX;  // when the first of them will be free
};

}  // namespace atelier::core
