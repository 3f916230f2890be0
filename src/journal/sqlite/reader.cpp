// SPDX-License-Identifier: MIT
#include "journal/sqlite/reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "journal/codec.hpp"
#include "journal/packing.hpp"
#include "journal/sqlite/blob.hpp"
#include "journal/sqlite/sql.hpp"

namespace atelier::journal::sqlite {
namespace {

/// Says which row it was.
std::unexpected<Error> at(std::string_view what, std::int64_t number, Error error) {
  error.what = fmt::format("{} {} of the journal: {}", what, number, error.what);
  return std::unexpected(std::move(error));
}

Error wrong_checksum() { return {Errc::io, "its checksum is wrong; see `atelier journal check`"}; }

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(const std::string& path) {
  BegunMark mark(path);
  ATELIER_TRY_VOID(mark.refuse_lost_file());
  ATELIER_TRY(Connection connection, Connection::open(path, Connection::Access::read_only, nullptr));
  ATELIER_TRY_VOID(connection.execute(sql::kReaderSettings));
  ATELIER_TRY(const std::int64_t application, connection.query_integer(sql::kGetApplicationId));
  ATELIER_TRY(const std::int64_t version, connection.query_integer(sql::kGetUserVersion));
  if (application == 0 && version == 0 && mark.upto()) {
    ATELIER_TRY(const std::int64_t tables, connection.query_integer(sql::kCountTables));
    if (tables == 0) return fail(Errc::config, mark.lost_after({}));
  }
  if (application != sql::kApplicationId || version == 0) {
    return fail(Errc::config, fmt::format("{} is not a journal of Atelier", path));
  }
  if (version > sql::kSchemaVersion) {
    return fail(Errc::newer_version,
                fmt::format("{} was written by a newer Atelier (schema version {})", path, version));
  }
  if (version < sql::kSchemaVersion) {
    return fail(Errc::config,
                fmt::format("{} has an old schema: start the server once, it brings it up to date", path));
  }
  std::unique_ptr<Reader> reader(new Reader(std::move(connection), std::move(mark)));
  ATELIER_TRY_VOID(reader->prepare_statements());
  return reader;
}

Result<void> Reader::prepare_statements() {
  ATELIER_TRY(valid_checkpoint_, connection_.prepare(sql::kValidCheckpoint));
  ATELIER_TRY(checkpoint_records_, connection_.prepare(sql::kCheckpointRecords));
  ATELIER_TRY(entries_after_, connection_.prepare(sql::kEntriesAfter));
  ATELIER_TRY(first_entry_, connection_.prepare(sql::kFirstEntry));
  ATELIER_TRY(numbers_of_entry_, connection_.prepare(sql::kNumbersOfEntry));
  ATELIER_TRY(attachment_, connection_.prepare(sql::kAttachment));
  return {};
}

Result<ReplayPage> Reader::read(ReplayCursor cursor) {
  ATELIER_TRY(const ReadTransaction view, ReadTransaction::begin(connection_));
  ReplayPage page;
  if (!cursor.begun) ATELIER_TRY_VOID(begin(cursor));
  ATELIER_TRY_VOID(cursor.checkpoint != 0 ? read_records(cursor, page) : read_entries(cursor, page));
  page.next = cursor;
  return page;
}

Result<void> Reader::begin(ReplayCursor& cursor) {
  cursor.begun = true;
  if (cursor.after) {
    ATELIER_TRY(const bool found, first_entry_.step());
    const auto first = found ? static_cast<std::uint64_t>(first_entry_.integer(0)) : 0;
    first_entry_.reset();
    if (first > cursor.after.value + 1) {
      return fail(Errc::not_found,
                  fmt::format("entries before {} are pruned: begin with the checkpoint", first));
    }
    return {};
  }
  ATELIER_TRY(const bool valid, valid_checkpoint_.step());
  if (!valid) return {};
  cursor.checkpoint = static_cast<std::uint64_t>(valid_checkpoint_.integer(0));
  cursor.after = {static_cast<std::uint64_t>(valid_checkpoint_.integer(1))};
  cursor.gapless = true;
  const EntryNumbers noted{{valid_checkpoint_.integer(2)}, {valid_checkpoint_.integer(3)}};
  const std::int64_t crc = valid_checkpoint_.integer(4);
  valid_checkpoint_.reset();
  const auto id = static_cast<std::int64_t>(cursor.checkpoint);
  if (crc != 0 && crc != checksum_of_checkpoint(id, cursor.after, noted)) {
    return fail(Errc::io, fmt::format("the checkpoint of the journal: {}", wrong_checksum().what));
  }
  return check_checkpoint(cursor.after, noted);
}

/// Its entry is never removed, and was copied from there.
Result<void> Reader::check_checkpoint(Sequence upto, const EntryNumbers& noted) {
  ATELIER_TRY(const auto numbers, numbers_of(upto));
  if (numbers && *numbers == noted) return {};
  return fail(Errc::io,
              fmt::format("the checkpoint of the journal: it is not that of entry {}, as it says", upto));
}

Result<std::optional<EntryNumbers>> Reader::numbers_of(Sequence sequence) {
  numbers_of_entry_.bind(1, static_cast<std::int64_t>(sequence.value));
  ATELIER_TRY(const bool found, numbers_of_entry_.step());
  if (!found) return std::nullopt;
  const EntryNumbers numbers{{numbers_of_entry_.integer(0)}, {numbers_of_entry_.integer(1)}};
  numbers_of_entry_.reset();
  return numbers;
}

Result<void> Reader::read_records(ReplayCursor& cursor, ReplayPage& page) {
  ATELIER_TRY(const bool valid, valid_checkpoint_.step());
  const auto present = valid ? static_cast<std::uint64_t>(valid_checkpoint_.integer(0)) : 0;
  valid_checkpoint_.reset();
  if (present != cursor.checkpoint)
    return fail(Errc::conflict, "the checkpoint was replaced while it was read");
  checkpoint_records_.bind(1, static_cast<std::int64_t>(cursor.checkpoint));
  checkpoint_records_.bind(2, static_cast<std::int64_t>(cursor.row)).bind(3, std::int64_t{kPageRows});
  std::size_t bytes = 0;
  while (true) {
    auto row = checkpoint_records_.step();
    auto record = row && *row ? record_of_row(cursor) : Result<core::CheckpointRecord>(core::Summary{});
    if (!row || !record) {
      checkpoint_records_.reset();
      if (!page.records.empty()) return {};  // those first; the next reading meets it again
      return std::unexpected(!row ? std::move(row).error() : std::move(record).error());
    }
    if (!*row) break;
    page.records.push_back(std::move(*record));
    cursor.row = static_cast<std::uint64_t>(checkpoint_records_.integer(0)) + 1;
    bytes += checkpoint_records_.blob(2).size();
    if (bytes < kPageBytes) continue;
    checkpoint_records_.reset();
    return {};
  }
  if (page.records.size() < kPageRows) cursor.checkpoint = 0;  // the entries are next
  return {};
}

Result<core::CheckpointRecord> Reader::record_of_row(const ReplayCursor& cursor) const {
  const std::int64_t number = checkpoint_records_.integer(0);
  const auto expected = static_cast<std::int64_t>(cursor.row);
  if (number != expected) return at("checkpoint record", expected, {Errc::io, "it is missing"});
  const std::string_view payload = checkpoint_records_.blob(2);
  if (checkpoint_records_.integer(1) != checksum(payload))
    return at("checkpoint record", number, wrong_checksum());
  auto record = decode_record(payload);
  if (!record) return at("checkpoint record", number, std::move(record).error());
  return record;
}

Result<void> Reader::read_entries(ReplayCursor& cursor, ReplayPage& page) {
  Time before;
  if (cursor.after) {
    ATELIER_TRY(const auto numbers, numbers_of(cursor.after));
    if (numbers) before = numbers->time;
  }
  entries_after_.bind(1, static_cast<std::int64_t>(cursor.after.value)).bind(2, std::int64_t{kPageRows});
  std::size_t bytes = 0;
  while (true) {
    auto row = entries_after_.step();
    auto entry = row && *row ? entry_of_row(cursor, before) : Result<core::Entry>(core::Entry{});
    if (!row || !entry) {
      entries_after_.reset();
      if (!page.entries.empty()) return {};
      return std::unexpected(!row ? std::move(row).error() : std::move(entry).error());
    }
    if (!*row) break;
    cursor.after = entry->sequence;
    cursor.gapless = true;
    before = entry->time;
    page.entries.push_back(std::move(*entry));
    bytes += entries_after_.blob(7).size();
    if (bytes < kPageBytes) continue;
    entries_after_.reset();
    return {};
  }
  page.end = page.entries.size() < kPageRows;
  if (!page.end || cursor.after >= mark_.upto()) return {};
  page.end = false;
  if (!page.entries.empty()) return {};  // those first
  return at("entry", static_cast<std::int64_t>(cursor.after.value + 1),
            {Errc::io, mark_.lost_after(std::max(cursor.after, Sequence{1}))});
}

Result<core::Entry> Reader::entry_of_row(const ReplayCursor& cursor, Time before) const {
  const EntryRow row = entry_row(entries_after_);
  const auto sequence = static_cast<std::int64_t>(row.sequence.value);
  const std::uint64_t expected = cursor.after.value + 1;
  if (cursor.gapless && row.sequence.value != expected)
    return at("entry", static_cast<std::int64_t>(expected), {Errc::io, "it is missing"});
  if (const auto sound = check_row(row, before); !sound) return at("entry", sequence, sound.error());
  auto event = decode_event(row.payload);
  if (!event) return at("entry", sequence, std::move(event).error());
  const core::Origin origin{{static_cast<std::uint64_t>(row.gateway)},
                            static_cast<std::uint64_t>(row.ticket)};
  return core::Entry{row.sequence, row.numbers.time, row.numbers.wall, origin, std::move(*event)};
}

Result<std::shared_ptr<const std::string>> Reader::attachment(Key128 id) {
  const std::array<char, 16> bytes = id_bytes(id);
  attachment_.bind(1, std::string_view(bytes.data(), bytes.size()));
  ATELIER_TRY(const bool found, attachment_.step());
  if (!found) return fail(Errc::not_found, fmt::format("there is no attachment {}", id.hex()));
  auto content = unpack({attachment_.blob(0), attachment_.integer(1)});
  if (!content) content.error().what = fmt::format("attachment {} {}", id.hex(), content.error().what);
  attachment_.reset();
  return content;
}

Result<std::vector<std::string>> Reader::verify() { return connection_.quick_check(); }

}  // namespace atelier::journal::sqlite
