// SPDX-License-Identifier: MIT
#include "core/index.hpp"

#include <utility>

#include "base/assert.hpp"

namespace atelier::core {

KindId WaitingIndex::intern(const JobFacts& job, WorkerId avoided) {
  const Submitted& wanted = job.submitted;
  if (const auto known = kinds_.find(NeedsView{wanted, avoided}); known != kinds_.end()) return known->second;
  Needs needs{wanted.classes, wanted.models, wanted.tags, wanted.pinned_worker, avoided};
  const auto entry = kinds_.emplace(std::move(needs), static_cast<KindId>(needs_.size())).first;
  needs_.push_back(&entry->first);
  counts_.push_back(0);
  const auto [models, fresh] = models_.emplace(wanted.models, by_models_.size());
  if (fresh) by_models_.push_back(0);
  models_of_.push_back(models->second);
  return entry->second;
}

void WaitingIndex::reset(QueueMode mode) {
  by_level_ = mode == QueueMode::priority;
  entries_.clear();
  lanes_.clear();
  heads_.clear();
  lanes_of_classes_.clear();
  counts_.assign(counts_.size(), 0);
  by_models_.assign(by_models_.size(), 0);
}

LaneId WaitingIndex::lane_of(const JobFacts& job) const {
  return {job.submitted.participant, by_level_ ? job.submitted.priority : PriorityLevel::instructor};
}

std::map<JobClass, const WaitingJob*> WaitingIndex::first_classes(const Lane& lane) {
  std::map<JobClass, const WaitingJob*> classes;
  for (const WaitingJob& job : lane.front()) classes.try_emplace(job.job_class(), &job);
  return classes;
}

bool WaitingIndex::is_in_front(const Lane& lane, const LaneKey& key) {
  return lane.front_count < kLaneLookAhead || !(lane.front().back().key < key);
}

void WaitingIndex::link(const LaneId& id, Lane& lane) {
  lane.front_count = 0;
  for (auto job = lane.order.begin(); job != lane.order.end() && lane.front_count < kLaneLookAhead; ++job)
    lane.first_jobs[lane.front_count++] = *job->second;
  if (lane.front_count == 0) return;
  const WaitingJob& head = lane.front().front();
  lanes_of_classes_[head.job_class()].first.insert({lane.start, head.key.job, id, &lane});
  for (const auto& [job_class, job] : first_classes(lane)) {
    LanesOfClass& lanes = lanes_of_classes_[job_class];
    lanes.estimate = job->estimate;
    lanes.any.insert({lane.start, job->key.job, id, &lane});
  }
}

void WaitingIndex::unlink(const LaneId& id, const Lane& lane) {
  if (lane.front_count == 0) return;
  const WaitingJob& head = lane.front().front();
  lanes_of_classes_.at(head.job_class()).first.erase({lane.start, head.key.job, id, &lane});
  for (const auto& [job_class, job] : first_classes(lane)) {
    const auto lanes = lanes_of_classes_.find(job_class);
    lanes->second.any.erase({lane.start, job->key.job, id, &lane});
    if (lanes->second.any.empty()) lanes_of_classes_.erase(lanes);
  }
}

void WaitingIndex::restart(ParticipantId owner, std::uint64_t start) {
  for (auto lane = lanes_.lower_bound({owner, {}}); lane != lanes_.end() && lane->first.owner == owner;
       ++lane) {
    if (lane->second.start == start) continue;
    unlink(lane->first, lane->second);
    lane->second.start = start;
    link(lane->first, lane->second);
  }
}

void WaitingIndex::add(const JobFacts& job, const LaneOwner& owner, std::uint64_t start,
                       const Estimates::Known* estimate, WorkerId avoided) {
  const WaitingJob waiting{intern(job, avoided), LaneKey{!job.at_head, job.number, job.job}, &job, estimate};
  // A new job comes last nearly everywhere.
  const std::size_t before = entries_.size();
  const auto entry = entries_.emplace_hint(entries_.end(), job.job, waiting);
  ATELIER_ASSERT(entries_.size() == before + 1);
  ++counts_[waiting.kind];
  ++by_models_[models_of_[waiting.kind]];
  const LaneId id = lane_of(job);
  Lane& lane = lanes_[id];
  if (lane.places.empty()) {
    lane.start = start;
    lane.owner = owner;
  }
  const bool relink = is_in_front(lane, waiting.key);
  if (relink) unlink(id, lane);
  lane.order.emplace_hint(lane.order.end(), waiting.key, &entry->second);
  auto& kind = lane.kinds[waiting.kind];
  kind.insert(kind.end(), waiting.key);
  if (relink) link(id, lane);
  const JobId head = lane.places.empty() ? JobId{} : lane.places.begin()->first;
  lane.places.emplace_hint(lane.places.end(), job.common_place(), job.job);
  if (lane.places.begin()->first == head) return;
  if (head) heads_.erase({id.level, head, id.owner});
  heads_.insert({id.level, lane.places.begin()->first, id.owner});
}

void WaitingIndex::exchange_places(const JobFacts& job, const JobFacts& other) {
  Lane& lane = lanes_.at(lane_of(job));
  std::swap(lane.places.at(job.common_place()), lane.places.at(other.common_place()));
}

void WaitingIndex::remove(const JobFacts& job) {
  auto entry = entries_.find(job.job);
  if (entry == entries_.end()) return;
  const LaneId id = lane_of(job);
  auto found = lanes_.find(id);
  ATELIER_ASSERT(found != lanes_.end());
  Lane& lane = found->second;
  heads_.erase({id.level, lane.places.begin()->first, id.owner});
  auto kind = lane.kinds.find(entry->second.kind);
  const bool relink = is_in_front(lane, entry->second.key);
  if (relink) unlink(id, lane);
  lane.order.erase(entry->second.key);
  kind->second.erase(entry->second.key);
  --counts_[entry->second.kind];
  --by_models_[models_of_[entry->second.kind]];
  if (kind->second.empty()) lane.kinds.erase(kind);
  if (relink) link(id, lane);
  lane.places.erase(job.common_place());
  entries_.erase(entry);
  if (lane.places.empty()) {
    lanes_.erase(found);
  } else {
    heads_.insert({id.level, lane.places.begin()->first, id.owner});
  }
}

}  // namespace atelier::core
