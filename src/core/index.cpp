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
  return entry->second;
}

void WaitingIndex::add(const JobFacts& job) {
  const Waiting waiting{intern(job), LaneKey{!job.at_head, job.number, job.job}};
  // A new job comes last nearly everywhere.
  const std::size_t before = entries_.size();
  entries_.emplace_hint(entries_.end(), job.job, waiting);
  ATELIER_ASSERT(entries_.size() == before + 1);
  const ParticipantId owner = job.submitted.participant;
  Lane& lane = lanes_[owner];
  auto& kind = lane.kinds[waiting.kind];
  kind.insert(kind.end(), waiting.key);
  const JobId head = lane.places.empty() ? JobId{} : *lane.places.begin();
  lane.places.insert(lane.places.end(), job.job);
  if (*lane.places.begin() == head) return;
  if (head) heads_.erase({head, owner});
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
