// SPDX-License-Identifier: MIT
#pragma once
// The index: orders and need sets derived from facts, rebuilt after a checkpoint, never compared between
// versions (core.md 1). Internal to core.

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "core/estimates.hpp"
#include "core/types/facts.hpp"

namespace atelier::core {

/// What a job asks of a slot. Jobs with equal needs share a kind.
struct Needs {
  std::vector<std::string> classes, models, tags;
  std::string pinned_worker;
  WorkerId avoided;  // it gave the job back, and its slot has not said that it is idle; for decide alone
};
/// The needs of a waiting job, so that looking up copies nothing.
struct NeedsView {
  const Submitted& job;
  WorkerId avoided;
};
struct NeedsLess {
  using is_transparent = void;
  bool operator()(const auto& a, const auto& b) const { return tied(a) < tied(b); }

 private:
  static auto tied(const Needs& needs) {
    return std::tie(needs.classes, needs.models, needs.tags, needs.pinned_worker, needs.avoided);
  }
  static auto tied(const NeedsView& needs) {
    const Submitted& job = needs.job;
    return std::tie(job.classes, job.models, job.tags, job.pinned_worker, needs.avoided);
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

/// Who shares an order: an owner's jobs, in priority mode those of one level.
struct LaneId {
  ParticipantId owner;
  PriorityLevel level = PriorityLevel::instructor;  // in other modes always this
  auto operator<=>(const LaneId&) const = default;
};
/// A place in the common order of fifo and priority: who had it was given it as its id.
struct Place {
  PriorityLevel level = PriorityLevel::instructor;
  JobId place;
  ParticipantId owner;
  auto operator<=>(const Place&) const = default;
  [[nodiscard]] LaneId lane() const { return {owner, level}; }
};

/// Jobs that need the same and are expected to take equally long.
struct JobClass {
  KindId kind = 0;
  std::uint64_t signature = 0;
  auto operator<=>(const JobClass&) const = default;
};

struct WaitingJob {
  KindId kind = 0;
  LaneKey key;
  const JobFacts* facts = nullptr;
  const Estimates::Known* estimate = nullptr;
  [[nodiscard]] JobClass job_class() const { return {kind, facts->submitted.signature}; }
};

/// How many jobs of a lane affinity looks at: a later one may go before those in front of it.
inline constexpr std::size_t kLaneLookAhead = 6;

/// Jobs of one participant, whatever their state.
struct OwnerIndex {
  std::uint32_t waiting_count = 0, leased_count = 0, running_count = 0;
  std::uint32_t occupying = 0;  // granted and not computed: what a cap on running counts
  std::map<std::string, JobId, std::less<>> by_prompt_id;  // live jobs
  std::set<JobId> granted;                                 // leased and running
  std::set<LaneKey> waiting;                               // queued and held
};

/// Whose jobs a lane holds.
struct LaneOwner {
  const ParticipantFacts* facts = nullptr;
  const OwnerIndex* jobs = nullptr;
};

/// Jobs of one lane that wait and are neither held nor cancelled. What a walk through the fair order reads
/// stands first and together: lanes lie far apart in memory.
struct Lane {
  std::uint64_t start = 0;  // the owner's next start tag
  LaneOwner owner;
  mutable std::uint64_t walk = 0;  // the last one that has seen it: scratch of decide
  std::uint32_t front_count = 0;
  std::array<WaitingJob, kLaneLookAhead> first_jobs;  // copies of the first `front_count` of the order
  std::map<LaneKey, const WaitingJob*> order;
  std::map<KindId, std::set<LaneKey>> kinds;
  std::map<JobId, JobId> places;  // in the common order of fifo and priority, and whose each is
  [[nodiscard]] std::span<const WaitingJob> front() const { return {first_jobs.data(), front_count}; }
};

class WaitingIndex {
 public:
  /// The mode decides what a lane is. Forgets all jobs.
  void reset(QueueMode mode);
  /// `start`: the owner's next start tag. What `owner` points to stays where it is.
  void add(const JobFacts& job, const LaneOwner& owner, std::uint64_t start, const Estimates::Known* estimate,
           WorkerId avoided = {});
  void restart(ParticipantId owner, std::uint64_t start);
  void remove(const JobFacts& job);
  /// Whose the first place of this job's lane is.
  [[nodiscard]] JobId first_in_lane(const JobFacts& job) const {
    return lanes_.at(lane_of(job)).places.begin()->second;
  }
  /// Before the facts of both, of one lane, say so.
  void exchange_places(const JobFacts& job, const JobFacts& other);
  [[nodiscard]] bool contains(JobId job) const { return entries_.contains(job); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const WaitingJob& at(JobId job) const { return entries_.at(job); }
  /// How many jobs of each kind wait, and how many that need the same models as this kind.
  [[nodiscard]] const std::vector<std::size_t>& counts() const { return counts_; }
  [[nodiscard]] std::size_t wanting_models_of(KindId kind) const { return by_models_[models_of_[kind]]; }
  [[nodiscard]] LaneId lane_of(const JobFacts& job) const;
  [[nodiscard]] const Needs& needs(KindId kind) const { return *needs_.at(kind); }
  [[nodiscard]] const std::map<LaneId, Lane>& lanes() const { return lanes_; }
  /// The first place of every lane that has a job, in order.
  [[nodiscard]] const std::set<Place>& heads() const { return heads_; }
  /// Lanes by their start tags, then by the age of that job.
  using ByStart = std::set<std::tuple<std::uint64_t, JobId, LaneId, const Lane*>>;
  struct LanesOfClass {
    const Estimates::Known* estimate = nullptr;
    ByStart first;  // whose first job is of this class
    ByStart any;    // among whose first kLaneLookAhead jobs is one of this class: the first such
  };
  /// Of every class of which a job waits.
  [[nodiscard]] const std::map<JobClass, LanesOfClass>& lanes_of_classes() const { return lanes_of_classes_; }

 private:
  KindId intern(const JobFacts& job, WorkerId avoided);
  /// Into lanes_of_classes_, and out of it, which comes before every change of the lane's start and of its
  /// first kLaneLookAhead jobs.
  void link(const LaneId& id, Lane& lane);
  void unlink(const LaneId& id, const Lane& lane);
  /// The first job of each class among the lane's first ones.
  static std::map<JobClass, const WaitingJob*> first_classes(const Lane& lane);
  static bool is_in_front(const Lane& lane, const LaneKey& key);
  bool by_level_ = false;
  std::map<JobId, WaitingJob> entries_;
  std::map<LaneId, Lane> lanes_;
  std::set<Place> heads_;
  std::map<JobClass, LanesOfClass> lanes_of_classes_;
  // Kinds are kept for ever within a process: as many as there are different need sets.
  std::map<Needs, KindId, NeedsLess> kinds_;
  std::vector<const Needs*> needs_;
  std::vector<std::size_t> counts_;
  std::map<std::vector<std::string>, std::size_t> models_;  // -> index into by_models_
  std::vector<std::size_t> models_of_;                      // by kind
  std::vector<std::size_t> by_models_;
};

}  // namespace atelier::core
