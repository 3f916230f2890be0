// SPDX-License-Identifier: MIT
#pragma once
// What the entries of a journal come to: core's state and history, folded page by page; and back into the
// records of a checkpoint (core.md 7). Pure; one thread at a time.

#include <vector>

#include "core/core.hpp"
#include "journal/journal.hpp"
#include "workshop/history.hpp"

namespace atelier::workshop {

class Fold {
 public:
  explicit Fold(core::Limits core_limits = {}, HistoryLimits history_limits = {})
      : core(core_limits), history(history_limits) {}

  /// Pages in the order in which a replay gives them, from the start. Errors: io, what the page says cannot
  /// be: the state is that of the entries before.
  [[nodiscard]] Result<void> apply(const journal::ReplayPage& page);
  /// After the last page: before anything is asked of `core`. Errors: as apply.
  [[nodiscard]] Result<void> finish();
  /// The whole state. Property: a fold of these records and what follows is the fold of all entries.
  [[nodiscard]] std::vector<core::CheckpointRecord> records() const;

  core::Core core;
  History history;
  std::uint64_t entries = 0;  // applied, without those that the checkpoint stands for

 private:
  [[nodiscard]] Result<void> check(const core::Entry& entry) const;

  bool importing_ = false;
  Sequence upto_;  // of the checkpoint; 0 if nobody said so
};

}  // namespace atelier::workshop
