// SPDX-License-Identifier: MIT
#pragma once
// What made a place or the time when a job is ready worse: two views compared. Internal to workshop.

#include <map>
#include <optional>
#include <set>

#include "workshop/standings.hpp"

namespace atelier::workshop {

class Changes {
 public:
  /// `view` has its jobs without places; all outlive it.
  Changes(const StandingsView& before, const StandingsView& view, const core::QueueCopy& queue);
  /// Called for the jobs in their order: a job's place may be worse for what stands before it only.
  void compare_place(Standing& job);
  /// After all of those. A range that differs by little from the one told before stays as it was told:
  /// nothing flickers, and what is told to be later has a cause.
  void compare_time(Standing& job) const;

 private:
  [[nodiscard]] Worse why_behind(const Standing& job) const;
  [[nodiscard]] Worse why_later(const Standing& job, const Standing& old) const;
  [[nodiscard]] Worse why_unknown(const Standing& job) const;

  const StandingsView& before_;
  const StandingsView& view_;
  const core::QueueCopy& queue_;
  std::set<JobId> listed_;                       // in the instructor's list
  std::map<ParticipantId, std::uint64_t> used_;  // GPU time of who has jobs
  std::set<ParticipantId> held_;
  Worse lost_;            // a worker that took jobs and does not any more
  bool shares_ = false;   // somebody's has changed
  bool overdue_ = false;  // a job that runs is
  // What is new in front of a place: counted along the order.
  std::set<ParticipantId> pressed_;  // who pressed Run since
  std::uint32_t back_ = 0;           // jobs that wait again
  std::uint32_t moved_ = 0;          // of the instructor's list, from behind
  std::uint32_t raised_ = 0;         // of a higher priority than before
  std::map<JobId, Worse> behind_;    // of each place
};

}  // namespace atelier::workshop
