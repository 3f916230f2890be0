// SPDX-License-Identifier: MIT
#include "core/index.hpp"

#include "base/assert.hpp"

namespace atelier::core {

KindId WaitingIndex::intern(const JobFacts& job) {
  const Submitted& wanted = job.submitted;
  if (const auto known = kinds_.find(wanted); known != kinds_.end()) return known->second;
  Needs needs{wanted.classes, wanted.models, wanted.tags, wanted.pinned_worker};
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
  counts_.assign(counts_.size(), 0);
  by_models_.assign(by_models_.size(), 0);
}

LaneId WaitingIndex::lane_of(const JobFacts& job) const {
  return {job.submitted.participant, by_level_ ? job.submitted.priority : PriorityLevel::instructor};
}

void WaitingIndex::add(const JobFacts& job) {
  const Waiting waiting{intern(job), LaneKey{!job.at_head, job.number, job.job}};
  // A new job comes last nearly everywhere.
  const std::size_t before = entries_.size();
  entries_.emplace_hint(entries_.end(), job.job, waiting);
  ATELIER_ASSERT(entries_.size() == before + 1);
  ++counts_[waiting.kind];
  ++by_models_[models_of_[waiting.kind]];
  const LaneId id = lane_of(job);
  Lane& lane = lanes_[id];
  auto& kind = lane.kinds[waiting.kind];
  kind.insert(kind.end(), waiting.key);
  const JobId head = lane.places.empty() ? JobId{} : *lane.places.begin();
  lane.places.insert(lane.places.end(), job.job);
  if (*lane.places.begin() == head) return;
  if (head) heads_.erase({id.level, head, id.owner});
  heads_.insert({id.level, *lane.places.begin(), id.owner});
}

void WaitingIndex::remove(const JobFacts& job) {
  auto entry = entries_.find(job.job);
  if (entry == entries_.end()) return;
  const LaneId id = lane_of(job);
  auto found = lanes_.find(id);
  ATELIER_ASSERT(found != lanes_.end());
  Lane& lane = found->second;
  heads_.erase({id.level, *lane.places.begin(), id.owner});
  auto kind = lane.kinds.find(entry->second.kind);
  kind->second.erase(entry->second.key);
  --counts_[entry->second.kind];
  --by_models_[models_of_[entry->second.kind]];
  if (kind->second.empty()) lane.kinds.erase(kind);
  lane.places.erase(job.job);
  entries_.erase(entry);
  if (lane.places.empty()) {
    lanes_.erase(found);
  } else {
    heads_.insert({id.level, *lane.places.begin(), id.owner});
  }
}

}  // namespace atelier::core
