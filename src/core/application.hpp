// SPDX-License-Identifier: MIT
#pragma once
// apply: one member function per kind of event. It records the fact and decides nothing; what no longer fits
// has no effect and says why (design.md 3). Internal to core.

#include <optional>
#include <string>
#include <vector>

#include "core/state.hpp"

namespace atelier::core {

class Application {
 public:
  Application(Core::State& state, const Entry& entry) : state_(state), entry_(entry) {}
  std::vector<Effect> run();

 private:
  // jobs (apply_jobs.cpp)
  void on(const Submitted& event);
  void on(const Leased& event);
  void on(const Started& event);
  void on(const Computed& event);
  void on(const Ended& event);
  void on(const Returned& event);
  void on(const LeaseExpired& event);
  void on(const CancelRequested& event);
  void on(const CancelScheduled& event);
  void on(const CancelUndone& event);
  void on(const Moved& event);
  void on(const MoveUndone& event);
  void on(const JobHeld& event);
  void on(const JobReleased& event);
  void on(const JobChanged& event);
  void on(const JobReordered& event);
  // outputs (apply_outputs.cpp)
  void on(const Committed& event);
  void on(const Linked& event);
  void on(const HistoryForgotten& event);
  // workers (apply_workers.cpp)
  void on(const WorkerJoined& event);
  void on(const WorkerLeft& event);
  void on(const SlotIdle& event);
  void on(const SlotsChanged& event);
  void on(const EngineLost& event);
  void on(const EngineReady& event);
  void on(const Capability& event);
  void on(const WorkerDraining& event);
  void on(const WorkerPaused& event);
  void on(const WorkerTags& event);
  // enrolments (apply_enrolments.cpp)
  void on(const EnrolmentMade& event);
  void on(const EnrolmentUsed& event);
  void on(const EnrolmentRevoked& event);
  void on(const EnrolmentMisused& event);
  void on(const WorkerKeyRevoked& event);
  // the workshop (apply_workshop.cpp)
  void on(const ParticipantHeld& event);
  void on(const ParticipantLimits& event);
  void on(const ModeChanged& event);
  void on(const Paused& event);
  void on(const WorkshopOpened& event);
  void on(const TimetableDue& event);
  void on(const EveryoneHeld& event);
  void on(const GatewayJoined& event);
  void on(const GatewayLost& event);

  void accept(Accepted accepted = {});
  void refuse(NoEffect reason, JobId rival = {});
  template <class E>
  void effect(E value) {
    effects_.push_back(std::move(value));
  }

  /// The job if it holds a lease with this epoch, else null after refusing.
  JobFacts* holder(JobId job, Epoch epoch);
  JobFacts* waiting_job(JobId job);
  /// The worker if `link` is its present link, else null after refusing.
  WorkerFacts* linked_worker(WorkerId worker, LinkId link);
  /// So much GPU time instead of what the job's lease was charged or has paid (core.md 2).
  void pay(JobFacts& job, std::uint64_t ran_ms);
  /// Takes the lease away: the slot becomes stopping, or idle if it was computed.
  void drop_lease(JobFacts& job);
  /// Back to the head of the lane, in every mode.
  void requeue(JobFacts& job, QueueCause cause);
  void use_capability(const Digest& hash);
  void forget_a_capability();
  void remember_run(const JobFacts& job, const SlotFacts& slot, std::uint64_t gpu_ms);
  /// Out of the instructor's list, and with it those that were there only because they stood before it.
  void leave_list(JobId job);
  void close_passed_stretches(const std::vector<JobId>& passed);
  void make_slot_idle(SlotFacts& slot);
  /// For one more; false if all of them are open.
  bool make_room_for_enrolment();
  static SlotFacts make_slot(const JoinedSlot& joined, Time now);
  std::string give_name(ParticipantId participant, const CommittedFile& file, std::int64_t number);

  Core::State& state_;
  const Entry& entry_;
  std::vector<Effect> effects_;
};

}  // namespace atelier::core
