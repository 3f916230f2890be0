// SPDX-License-Identifier: MIT
#pragma once
// Writes one checkpoint in small steps, so that commits go in between (core.md 7: one transaction of 20,000
// rows holds the writer 71 ms, slices at most 9 ms).

#include <memory>

#include "journal/sqlite/writer.hpp"

namespace atelier::journal::sqlite {

/// begin -> slices -> flip -> removal of the old one. Until the flip the old checkpoint is the valid one.
class CheckpointWriter {
 public:
  CheckpointWriter(Writer& writer, Sequence upto, std::vector<core::CheckpointRecord> records)
      : writer_(writer), upto_(upto), records_(std::move(records)) {}

  /// One transaction; true when nothing is left to do. On the writer's thread. Errors: as
  /// Journal::checkpoint.
  [[nodiscard]] Result<bool> step();

 private:
  enum class Phase { prepare, sweep, begin, write, flip, done };
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<void> sweep();
  [[nodiscard]] Result<void> begin();
  [[nodiscard]] Result<void> write_slice();
  [[nodiscard]] Result<void> flip();

  Writer& writer_;
  Sequence upto_;
  std::vector<core::CheckpointRecord> records_;
  Phase phase_ = Phase::prepare;
  bool flipped_ = false;
  std::int64_t id_ = 0;
  std::size_t next_ = 0;
  Statement find_invalid_, delete_records_, delete_checkpoint_, insert_checkpoint_, insert_record_, flip_,
      set_checksum_;
};

}  // namespace atelier::journal::sqlite
