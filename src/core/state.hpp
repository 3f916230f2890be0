// SPDX-License-Identifier: MIT
#pragma once
// Core's State: facts and the index beside them. Internal to core.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/core.hpp"
#include "core/estimates.hpp"
#include "core/fair_order.hpp"
#include "core/index.hpp"

namespace atelier::core {

/// Somebody pressed Run: what a forecast mirrors into the future.
struct ArrivalSeen {
  Time time;
  LaneId lane;
  JobClass job_class;
};
inline constexpr milliseconds kArrivalsKept{15 * 60'000};
inline constexpr std::size_t kArrivalsMax = 4'096;

/// What decide has found out of one kind in one call: kept because a call asks it of hundreds of jobs.
struct KindFits {
  std::uint64_t call = 0;
  std::vector<Fit> of_slots;  // of the call's free slots
  std::size_t left = 0;       // how many of these were not taken when `best` was found
  std::size_t best = 0;
  bool held = false;  // the best one holds the models
};

/// How often a job may come back because what it reads could not be fetched; of the losses.
inline constexpr std::uint32_t kInputTriesMax = 3;

/// What the workers that gave a waiting or leased job back have said; since this core's start.
struct GivenBack {
  WorkerId worker;  // the last one
  ReturnReason reason = ReturnReason::draining;
  std::uint32_t without_input = 0;  // how often what the job reads could not be fetched
};

struct Core::State {
  explicit State(Limits l) : limits(l) {}

  Limits limits;
  // Facts.
  WorkshopFacts workshop;
  std::map<ParticipantId, ParticipantFacts> participants;
  std::map<JobId, JobFacts> jobs;
  std::map<WorkerId, WorkerFacts> workers;
  std::map<Digest, CapabilityFacts> capabilities;
  std::map<std::pair<JobId, std::string>, UnlinkedCommit> unlinked;
  using CounterKey = std::tuple<OutputType, std::string, std::string, bool>;  // type, folder, stem, numbered
  std::map<ParticipantId, std::map<CounterKey, NameCounter>> counters;
  std::map<std::uint64_t, RunHistory> runs;
  std::map<GatewayId, GatewayFacts> gateways;
  std::map<EnrolmentId, EnrolmentFacts> enrolments;
  std::map<std::string, WorkerKeyFacts, std::less<>> worker_keys;  // by the worker's name
  // Index.
  WaitingIndex waiting;
  Estimates estimates;
  std::uint32_t weight_milli_max = 1000;  // the largest weight that a participant ever had
  mutable std::map<std::pair<KindId, Digest>, bool> can_run;  // classes and models of a kind; a cache
  mutable std::vector<KindFits> fits;                         // by kind; scratch of decide
  mutable std::uint64_t policy_calls = 0;
  mutable std::uint64_t walks = 0;                    // through the fair order
  std::map<SlotId, std::vector<std::string>> loaded;  // the models of the job that started last in a slot
  std::map<ParticipantId, OwnerIndex> owners;
  std::map<std::string, WorkerId, std::less<>> worker_names;
  std::map<Digest, EnrolmentId> enrolment_tokens;
  std::map<JobId, const JobFacts*> granted;  // leased and running
  std::set<std::pair<Time, JobId>> cancels;  // when decide ends them: marked leases + 10 s, scheduled ones
  std::set<std::pair<Time, JobId>> running;  // by when they started; not those that are computed
  std::set<JobId> to_end;                    // waiting jobs that decide ends at once: cancelled, worn out
  std::set<JobId> without_input;             // the same, by what facts do not say: they keep their lanes
  std::set<JobId> passed;                    // those whose delay by affinity is running
  std::set<std::pair<Sequence, std::uint64_t>> runs_by_age;
  std::map<JobId, GivenBack> given_back;
  std::map<WorkerId, std::set<JobId>> avoided;  // waiting jobs, by whom they do not go to now
  std::deque<ArrivalSeen> arrivals;  // of the last kArrivalsKept, the newest last; since this core's start

  [[nodiscard]] ParticipantFacts& participant(ParticipantId id);
  [[nodiscard]] JobFacts* find(JobId job);
  [[nodiscard]] SlotFacts* find(SlotId slot);
  /// Takes `job` out of every index / puts it into those that its facts ask for.
  void unindex(const JobFacts& job);
  void index(const JobFacts& job);
  /// Before a waiting job starts in the common order: its lane's first place is the one that it takes.
  void take_first_place(JobFacts& job);
  /// After a change of the mode.
  void index_waiting();
  /// After a change of the worker's slots: jobs that it gave back may go to it again once the slot that had
  /// them is idle, and to its other slots then.
  void review_avoided(WorkerId worker);
  /// What it reads could not be brought to a worker, too often. Policy: events change the same facts with it
  /// or without it.
  [[nodiscard]] bool lacks_input(JobId job) const {
    const auto found = given_back.find(job);
    return found != given_back.end() && found->second.without_input >= kInputTriesMax;
  }
  [[nodiscard]] std::uint64_t start_tag(ParticipantId owner) const;
  /// After index(): this job was submitted now.
  void remember_arrival(const JobFacts& job);
  /// The models of the job that started last in the slot; none if nobody knows.
  [[nodiscard]] const std::vector<std::string>& models_in(SlotId slot) const;
  /// After a change of the owner's tag or floor.
  void turn_changed(ParticipantId owner) { waiting.restart(owner, start_tag(owner)); }

 private:
  void index_as_waiting(const JobFacts& job);
  void unindex_as_waiting(const JobFacts& job);
  [[nodiscard]] WorkerId avoided_by(const JobFacts& job) const;
};

}  // namespace atelier::core
