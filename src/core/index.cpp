// SPDX-License-Identifier: MIT
#include "core/index.hpp"

#include "base/assert.hpp"

namespace atelier::core {

KindId WaitingIndex::intern(const JobFacts& job) {
  Needs needs{job.submitted.classes, job.submitted.models, job.submitted.tags, job.submitted.pinned_worker};
  auto [entry, fresh] = kinds_.try_emplace(std::move(needs), static_cast<KindId>(needs_.size()));
  if (fresh) needs_.push_back(&entry->first);
  return entry->second;
}

void WaitingIndex::add(const JobFacts& job) {
  const Waiting waiting{intern(job), LaneKey{!job.at_head, job.number, job.job}};
  const bool fresh = entries_.emplace(job.job, waiting).second;
  ATELIER_ASSERT(fresh);
  const ParticipantId owner = job.submitted.participant;
  Lane& lane = lanes_[owner];
  if (!lane.places.empty()) heads_.erase({*lane.places.begin(), owner});
  lane.kinds[waiting.kind].insert(waiting.key);
  lane.places.insert(job.job);
  heads_.insert({*lane.places.begin(), owner});
}

void WaitingIndex::remove(const JobFacts& job) {
  auto entry = entries_.find(job.job);
  if (entry == entries_.end()) return;
  const ParticipantId owner = job.submitted.participant;
  auto found = lanes_.find(owner);
  ATELIER_ASSERT(found != lanes_.end());
  Lane& lane = found->second;
  heads_.erase({*lane.places.begin(), owner});
  auto kind = lane.kinds.find(entry->second.kind);
  kind->second.erase(entry->second.key);
  if (kind->second.empty()) lane.kinds.erase(kind);
  lane.places.erase(job.job);
  entries_.erase(entry);
  if (lane.places.empty()) {
    lanes_.erase(found);
  } else {
    heads_.insert({*lane.places.begin(), owner});
  }
}

}  // namespace atelier::core
