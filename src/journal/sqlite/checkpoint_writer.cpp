// SPDX-License-Identifier: MIT
#include "journal/sqlite/checkpoint_writer.hpp"

#include <fmt/format.h>

#include "base/crash_point.hpp"
#include "journal/codec.hpp"
#include "journal/sqlite/blob.hpp"
#include "journal/sqlite/row_check.hpp"
#include "journal/sqlite/sql.hpp"

namespace atelier::journal::sqlite {

Result<bool> CheckpointWriter::step() {
  switch (phase_) {
    case Phase::prepare:
      ATELIER_TRY_VOID(prepare());
      break;
    case Phase::sweep:
      ATELIER_TRY_VOID(sweep());
      break;
    case Phase::begin:
      ATELIER_TRY_VOID(begin());
      break;
    case Phase::write:
      ATELIER_TRY_VOID(write_slice());
      break;
    case Phase::flip:
      ATELIER_TRY_VOID(flip());
      break;
    case Phase::done:
      break;
  }
  return phase_ == Phase::done;
}

Result<void> CheckpointWriter::prepare() {
  ATELIER_TRY(find_invalid_, writer_.prepare(sql::kInvalidCheckpoint));
  ATELIER_TRY(delete_records_, writer_.prepare(sql::kDeleteCheckpointRecords));
  ATELIER_TRY(delete_checkpoint_, writer_.prepare(sql::kDeleteCheckpoint));
  ATELIER_TRY(insert_checkpoint_, writer_.prepare(sql::kInsertCheckpoint));
  ATELIER_TRY(insert_record_, writer_.prepare(sql::kInsertCheckpointRecord));
  ATELIER_TRY(flip_, writer_.prepare(sql::kFlipCheckpoint));
  ATELIER_TRY(set_checksum_, writer_.prepare(sql::kSetChecksumOfCheckpoint));
  phase_ = Phase::sweep;
  return {};
}

/// Removes a slice of a checkpoint that is not valid: one left by a crash before, the old one after the flip.
Result<void> CheckpointWriter::sweep() {
  return writer_.transaction([this]() -> Result<void> {
    ATELIER_TRY(const bool found, find_invalid_.step());
    if (!found) {
      phase_ = flipped_ ? Phase::done : Phase::begin;
      return {};
    }
    const std::int64_t id = find_invalid_.integer(0);
    find_invalid_.reset();
    ATELIER_TRY_VOID(delete_records_.bind(1, id).bind(2, std::int64_t{kSliceRows}).run());
    if (writer_.changes() < std::int64_t{kSliceRows}) return delete_checkpoint_.bind(1, id).run();
    return {};
  });
}

Result<void> CheckpointWriter::begin() {
  return writer_.transaction([this]() -> Result<void> {
    insert_checkpoint_.bind(1, static_cast<std::int64_t>(upto_.value));
    ATELIER_TRY(const bool inserted, insert_checkpoint_.step());
    if (!inserted)
      return fail(Errc::not_found, fmt::format("there is no entry {} to make a checkpoint of", upto_));
    id_ = insert_checkpoint_.integer(0);
    const EntryNumbers numbers{{insert_checkpoint_.integer(1)}, {insert_checkpoint_.integer(2)}};
    insert_checkpoint_.reset();
    set_checksum_.bind(1, id_).bind(2, checksum_of_checkpoint(id_, upto_, numbers));
    ATELIER_TRY_VOID(set_checksum_.run());
    phase_ = records_.empty() ? Phase::flip : Phase::write;
    return {};
  });
}

Result<void> CheckpointWriter::write_slice() {
  auto written = writer_.transaction([this]() -> Result<void> {
    std::size_t bytes = 0;
    std::string payload;
    for (std::size_t rows = 0; rows < kSliceRows && bytes < kSliceBytes && next_ < records_.size();
         ++rows, ++next_) {
      payload.clear();
      encode(records_[next_], payload);
      bytes += payload.size();
      insert_record_.bind(1, id_).bind(2, static_cast<std::int64_t>(next_)).bind(3, checksum(payload));
      ATELIER_TRY_VOID(insert_record_.bind(4, std::string_view(payload)).run());
    }
    return {};
  });
  crash_point("journal_checkpoint_slice");
  if (next_ == records_.size()) phase_ = Phase::flip;
  return written;
}

Result<void> CheckpointWriter::flip() {
  crash_point("journal_before_checkpoint_flip");
  ATELIER_TRY_VOID(writer_.transaction([this] { return flip_.bind(1, id_).run(); }));
  crash_point("journal_after_checkpoint_flip");
  flipped_ = true;
  phase_ = Phase::sweep;
  return {};
}

}  // namespace atelier::journal::sqlite
