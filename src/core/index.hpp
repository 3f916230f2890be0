// SPDX-License-Identifier: MIT
#pragma once
// The index: orders and need sets derived from facts, rebuilt after a checkpoint, never compared between
// versions (core.md 1). Internal to core.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "core/types/facts.hpp"

namespace atelier::core {

/// What a job asks of a slot. Jobs with equal needs share a kind.
struct Needs {
  std::vector<std::string> classes, models, tags;
  std::string pinned_worker;
};
/// Needs, and what has the same members (Submitted), so that looking up copies nothing.
struct NeedsLess {
  using is_transparent = void;
  bool operator()(const auto& a, const auto& b) const { return tied(a) < tied(b); }

 private:
  static auto tied(const auto& needs) {
    return std::tie(needs.classes, needs.models, needs.tags, needs.pinned_worker);
  }
};
using KindId = std::uint32_t;

/// The order of one owner's jobs: given-back ones, then number, then job id (core.md 4).
struct LaneKey {
  bool fresh = true;  // false: was leased before, goes first
  double number = 0;
  JobId job;
  auto operator<=>(const LaneKey& other) const {
    return std::tie(fresh, number, job) <=> std::tie(other.fresh, other.number, other.job);
  }
  bool operator==(const LaneKey&) const = default;
};

/// Jobs of one owner that wait and are not held, cancelled or moved by hand.
struct Lane {
  std::map<KindId, std::set<LaneKey>> kinds;
  std::set<JobId> places;  // the ids: the lane's places in the common order of fifo and priority
};

class WaitingIndex {
 public:
  void add(const JobFacts& job);
  void remove(const JobFacts& job);
  [[nodiscard]] bool contains(JobId job) const { return entries_.contains(job); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] KindId kind_of(JobId job) const { return entries_.at(job).kind; }
  [[nodiscard]] const Needs& needs(KindId kind) const { return *needs_.at(kind); }
  [[nodiscard]] const std::map<ParticipantId, Lane>& lanes() const { return lanes_; }
  /// (first place, owner) of every lane that has a job, in order.
  [[nodiscard]] const std::set<std::pair<JobId, ParticipantId>>& heads() const { return heads_; }

 private:
  struct Waiting {
    KindId kind = 0;
    LaneKey key;
  };
  KindId intern(const JobFacts& job);

  std::map<JobId, Waiting> entries_;
  std::map<ParticipantId, Lane> lanes_;
  std::set<std::pair<JobId, ParticipantId>> heads_;
  // Kinds are kept for ever within a process: as many as there are different need sets.
  std::map<Needs, KindId, NeedsLess> kinds_;
  std::vector<const Needs*> needs_;
};

/// Jobs of one participant, whatever their state.
struct OwnerIndex {
  std::map<std::string, JobId, std::less<>> by_prompt_id;  // live jobs
  std::set<JobId> granted;                                 // leased and running
  std::set<LaneKey> waiting;                               // queued and held
  std::uint32_t waiting_count = 0, leased_count = 0, running_count = 0;
  std::uint32_t occupying = 0;  // granted and not computed: what a cap on running counts
};

}  // namespace atelier::core
