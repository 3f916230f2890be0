// SPDX-License-Identifier: MIT
#pragma once
// The reading connection: opened read-only, it can neither write nor checkpoint (core.md 7). Blocking; one
// thread at a time. Each page is a short transaction of its own, so that it never keeps the log from being
// reused.

#include <memory>
#include <optional>
#include <string>

#include "journal/journal.hpp"
#include "journal/sqlite/begun_mark.hpp"
#include "journal/sqlite/connection.hpp"
#include "journal/sqlite/row_check.hpp"

namespace atelier::journal::sqlite {

class Reader final : public StoreReader {
 public:
  /// Errors: not_found, config (not a journal of ours), newer_version, io.
  [[nodiscard]] static Result<std::unique_ptr<Reader>> open(const std::string& path);

  [[nodiscard]] Result<ReplayPage> read(ReplayCursor cursor) override;
  [[nodiscard]] Result<std::shared_ptr<const std::string>> attachment(Key128 id) override;
  [[nodiscard]] Result<std::vector<std::string>> verify() override;

 private:
  Reader(Connection connection, BegunMark mark)
      : connection_(std::move(connection)), mark_(std::move(mark)) {}
  [[nodiscard]] Result<void> prepare_statements();
  [[nodiscard]] Result<void> begin(ReplayCursor& cursor);
  [[nodiscard]] Result<void> check_checkpoint(Sequence upto, const EntryNumbers& noted);
  /// Of an entry that may have been removed.
  [[nodiscard]] Result<std::optional<EntryNumbers>> numbers_of(Sequence sequence);
  [[nodiscard]] Result<void> read_records(ReplayCursor& cursor, ReplayPage& page);
  [[nodiscard]] Result<core::CheckpointRecord> record_of_row(const ReplayCursor& cursor) const;
  [[nodiscard]] Result<void> read_entries(ReplayCursor& cursor, ReplayPage& page);
  [[nodiscard]] Result<core::Entry> entry_of_row(const ReplayCursor& cursor, Time before) const;

  Connection connection_;
  BegunMark mark_;  // as it was before the first reading: what is read has all of it
  Statement valid_checkpoint_, checkpoint_records_, entries_after_, first_entry_, numbers_of_entry_,
      attachment_;
};

}  // namespace atelier::journal::sqlite
