// SPDX-License-Identifier: MIT
#include "journal/memory/memory_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "journal/codec.hpp"

namespace atelier::journal::memory {

Fault MemoryStore::next_commit() {
  const auto planned = planned_.find(++commits_);
  Fault fault = full_ ? Fault::full : Fault::none;
  if (planned != planned_.end()) {
    fault = planned->second;
    planned_.erase(planned);
  }
  return fault;
}

Result<void> MemoryStore::store(const Batch& batch, Time time, WallTime wall) {
  std::set<Key128> fresh;
  for (const NewEntry& entry : batch) {
    for (const NewAttachment& attachment : entry.attachments) {
      if (attachments_.contains(attachment.ref.id) || !fresh.insert(attachment.ref.id).second) {
        return fail(Errc::conflict, fmt::format("attachment {} is stored already", attachment.ref.id.hex()));
      }
    }
  }
  const Time at = entries_.empty() ? time : std::max(time, entries_.back().time);
  for (const NewEntry& entry : batch) {
    std::string payload;
    encode(entry.event, payload);
    entries_.push_back({at, wall, entry.origin, std::move(payload)});
    for (const NewAttachment& attachment : entry.attachments)
      attachments_[attachment.ref.id] = attachment.bytes;
  }
  std::erase_if(watchers_, [](const auto& watcher) { return watcher.expired(); });
  const auto watchers = watchers_;
  for (const auto& watcher : watchers) {
    if (auto notify = watcher.lock()) (*notify)();
  }
  return {};
}

Result<core::Entry> MemoryStore::entry(Sequence sequence) const {
  const Stored& stored = entries_[sequence.value - 1];
  ATELIER_TRY(core::Event event, decode_event(stored.payload));
  return core::Entry{sequence, stored.time, stored.wall, stored.origin, std::move(event)};
}

Result<ReplayPage> MemoryStore::read(ReplayCursor cursor) {
  ReplayPage page;
  if (!cursor.begun) {
    cursor.begun = true;
    if (!cursor.after && checkpoint_) {
      cursor.checkpoint = checkpoint_->id;
      cursor.after = checkpoint_->upto;
    }
  }
  std::size_t bytes = 0;
  if (cursor.checkpoint != 0) {
    if (checkpoint_->id != cursor.checkpoint)
      return fail(Errc::conflict, "the checkpoint was replaced while it was read");
    const auto& records = checkpoint_->records;
    for (; cursor.row < records.size() && page.records.size() < kPageRows && bytes < kPageBytes;
         ++cursor.row) {
      ATELIER_TRY(core::CheckpointRecord record, decode_record(records[cursor.row]));
      page.records.push_back(std::move(record));
      bytes += records[cursor.row].size();
    }
    if (cursor.row == records.size()) cursor.checkpoint = 0;
  } else {
    while (cursor.after < last() && page.entries.size() < kPageRows && bytes < kPageBytes) {
      ++cursor.after.value;
      bytes += entries_[cursor.after.value - 1].payload.size();
      ATELIER_TRY(core::Entry next, entry(cursor.after));
      page.entries.push_back(std::move(next));
    }
    page.end = cursor.after >= last();
  }
  page.next = cursor;
  return page;
}

Result<std::shared_ptr<const std::string>> MemoryStore::attachment(Key128 id) {
  if (attachments_to_fail_ > 0) {
    --attachments_to_fail_;
    return fail(Errc::unavailable, "the store does not answer");
  }
  const auto found = attachments_.find(id);
  if (found == attachments_.end())
    return fail(Errc::not_found, fmt::format("there is no attachment {}", id.hex()));
  return found->second;
}

}  // namespace atelier::journal::memory
