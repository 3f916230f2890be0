// SPDX-License-Identifier: MIT
#pragma once
// What the memory journal keeps: it outlives the Journals opened on it, so that a simulated restart finds
// everything again. Records lie encoded, so simulation exercises the codec, too. It fails on command. One
// thread.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "journal/journal.hpp"

namespace atelier::journal::memory {

/// What happens at a commit (an append of at least one event, a slice or the flip of a checkpoint).
enum class Fault {
  none,
  io,    // nothing stored; the Journal latches (another one on the same store works: a new process)
  full,  // nothing stored, Errc::disk_full
  crash_before_commit,  // nothing stored; the call never returns
  crash_after_commit,   // stored; the call never returns
  answer_lost,          // stored; Errc::unavailable
};

class MemoryStore final : public StoreReader {
 public:
  /// The n-th commit from now meets `fault` (1 = the next); several may be planned.
  void plan(Fault fault, std::uint64_t nth = 1) { planned_[commits_ + nth] = fault; }
  /// While set, every commit fails with disk_full.
  void set_full(bool full) { full_ = full; }
  /// While set, every append fails with unavailable and nothing is stored: the store cannot be reached.
  void set_out_of_reach(bool now) { out_of_reach_ = now; }
  /// The next `count` reads of an attachment fail with unavailable.
  void fail_attachments(int count) { attachments_to_fail_ = count; }
  /// Called when a commit met one of the two crash faults: the simulation kills its server here or later.
  std::function<void()> on_crash;
  /// How long a commit takes.
  milliseconds commit_latency{0};

  [[nodiscard]] Sequence last() const { return {entries_.size()}; }
  [[nodiscard]] std::uint64_t commits() const { return commits_; }

  Result<ReplayPage> read(ReplayCursor cursor) override;
  Result<std::shared_ptr<const std::string>> attachment(Key128 id) override;
  Result<std::vector<std::string>> verify() override { return std::vector<std::string>{}; }

 private:
  friend class MemoryJournal;
  struct Stored {
    Time time;
    WallTime wall;
    core::Origin origin;
    std::string payload;
  };
  struct Checkpoint {
    std::uint64_t id = 0;
    Sequence upto;
    std::vector<std::string> records;
  };

  [[nodiscard]] Fault next_commit();
  [[nodiscard]] Result<void> store(const Batch& batch, Time time, WallTime wall);
  [[nodiscard]] Result<core::Entry> entry(Sequence sequence) const;

  std::vector<Stored> entries_;  // the entry n at n - 1
  std::map<Key128, std::shared_ptr<const std::string>> attachments_;
  std::optional<Checkpoint> checkpoint_;
  std::map<std::uint64_t, Fault> planned_;
  std::uint64_t commits_ = 0;
  bool full_ = false;
  bool out_of_reach_ = false;
  int attachments_to_fail_ = 0;
  std::vector<std::weak_ptr<std::function<void()>>>
      watchers_;  // one per open Journal: something was recorded
};

}  // namespace atelier::journal::memory
