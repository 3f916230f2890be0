// SPDX-License-Identifier: MIT
#include "journal/sqlite/writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/crash_point.hpp"
#include "journal/codec.hpp"
#include "journal/sqlite/blob.hpp"
#include "journal/sqlite/database_copy.hpp"
#include "journal/sqlite/row_check.hpp"
#include "journal/sqlite/schema.hpp"
#include "journal/sqlite/sql.hpp"

namespace atelier::journal::sqlite {

Writer::~Writer() {
  if (connection_ && (failure_ || vfs_->failed())) connection_->close_without_checkpoint();
}

Result<std::unique_ptr<Writer>> Writer::open(const std::string& path, FaultInjection inject) {
  std::unique_ptr<Writer> writer(new Writer(path));
  ATELIER_TRY(writer->lock_, LockFile::take(path));
  writer->mark_ = BegunMark(path);
  ATELIER_TRY_VOID(writer->mark_.refuse_lost_file());
  writer->vfs_ = std::make_unique<GuardedVfs>(std::move(inject));
  ATELIER_TRY(Connection connection,
              Connection::open(path, Connection::Access::read_write, writer->vfs_->name()));
  writer->connection_.emplace(std::move(connection));
  ATELIER_TRY_VOID(writer->prepare_schema());
  ATELIER_TRY_VOID(writer->prepare_statements());
  ATELIER_TRY_VOID(writer->look_for_mark());
  if (auto found = writer->find_last(); !found) {
    if (found.error().code != Errc::io) return std::unexpected(std::move(found).error());
    writer->give_up(std::move(found).error());  // what stands before it may still be shown
  } else if (writer->last_.sequence < writer->mark_.upto()) {
    const Sequence last = writer->last_.sequence;
    if (!last) return fail(Errc::config, writer->mark_.lost_after(last));
    writer->give_up({Errc::io, fmt::format("entry {} of the journal: {}", last.value + 1,
                                           writer->mark_.lost_after(last))});
  }
  writer->database_ = identity(path);
  writer->wal_ = identity(path + "-wal");
  return writer;
}

Result<void> Writer::prepare_schema() {
  const auto not_ours = [&](std::string_view why) {
    return fail(
        Errc::config,
        fmt::format("{} is not a journal of Atelier ({}). Put a backup in its place (`atelier journal "
                    "restore FILE`), or move it away.",
                    path_, why));
  };
  auto application = connection_->query_integer(sql::kGetApplicationId);
  if (!application && application.error().code == Errc::config) return not_ours("it is no SQLite database");
  if (!application) return std::unexpected(std::move(application).error());
  ATELIER_TRY(const std::int64_t version, connection_->query_integer(sql::kGetUserVersion));
  ATELIER_TRY(const std::int64_t tables, connection_->query_integer(sql::kCountTables));
  const bool empty = *application == 0 && version == 0 && tables == 0;
  if (empty && mark_.upto()) return fail(Errc::config, mark_.lost_after({}));
  if (!empty && *application != sql::kApplicationId) return not_ours("another program's application_id");
  if (version > sql::kSchemaVersion) {
    return fail(
        Errc::newer_version,
        fmt::format("{} has schema version {}, this Atelier knows up to {}: it was written by a newer one",
                    path_, version, sql::kSchemaVersion));
  }
  ATELIER_TRY_VOID(connection_->execute(sql::kWriterSettings));
  ATELIER_TRY(Statement mode, connection_->prepare(sql::kGetJournalMode));
  ATELIER_TRY(const bool row, mode.step());
  if (!row || mode.blob(0) != "wal") {
    return fail(Errc::config, fmt::format("the file system of {} cannot keep a write-ahead log", path_));
  }
  mode.reset();
  if (version > 0 && version < sql::kSchemaVersion) ATELIER_TRY_VOID(keep_copy(version));
  return migrate(*connection_, version);
}

/// Keeps `path`.schema-N, the journal as the older release left it.
Result<void> Writer::keep_copy(std::int64_t version) {
  const std::string copy = fmt::format("{}.schema-{}", path_, version);
  const std::string part = copy + ".part";
  if (::access(copy.c_str(), F_OK) == 0) return {};  // a crash came between the copy and the migration
  ATELIER_TRY_VOID(copy_database(*connection_, part));
  crash_point("journal_before_copy_is_named");
  if (::rename(part.c_str(), copy.c_str()) != 0) return std::unexpected(errno_error(errno, "rename " + part));
  return {};
}

Result<void> Writer::prepare_statements() {
  ATELIER_TRY(begin_, connection_->prepare(sql::kBeginWrite));
  ATELIER_TRY(commit_, connection_->prepare(sql::kCommit));
  ATELIER_TRY(rollback_, connection_->prepare(sql::kRollback));
  ATELIER_TRY(insert_entry_, connection_->prepare(sql::kInsertEntry));
  ATELIER_TRY(insert_attachment_, connection_->prepare(sql::kInsertAttachment));
  return {};
}

Result<void> Writer::find_last() {
  ATELIER_TRY(Statement newest, connection_->prepare(sql::kLastEntry));
  ATELIER_TRY(const bool found, newest.step());
  if (!found) return {};
  const EntryRow row = entry_row(newest);
  if (const auto sound = check_row(row, {}); !sound)  // the clock would go on from there
    return fail(Errc::io, fmt::format("entry {} of the journal: {}", row.sequence, sound.error().what));
  last_ = {row.sequence, row.numbers.time, row.numbers.wall};
  return {};
}

Result<void> Writer::look_for_mark() {
  const std::string mark = path_ + "-damaged";
  if (::access(mark.c_str(), F_OK) != 0) return {};
  const auto problems = connection_->quick_check();
  if (!problems) {
    give_up(problems.error());
  } else if (problems->empty()) {
    ::unlink(mark.c_str());  // somebody has put it right
  } else {
    give_up({Errc::io, "SQLite's own check: " + problems->front()});
  }
  return {};
}

Result<Statement> Writer::prepare(const char* statement) { return connection_->prepare(statement); }

Writer::FileIdentity Writer::identity(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

Result<std::vector<core::Entry>> Writer::append(Batch batch, Time time, WallTime wall) {
  LastEntry numbers{last_.sequence, std::max(time, last_.time), wall};
  auto stored = transaction([&]() -> Result<void> {
    crash_point("journal_before_write");
    for (const NewEntry& entry : batch) {
      ++numbers.sequence.value;
      ATELIER_TRY_VOID(insert(entry, numbers));
    }
    crash_point("journal_before_commit");
    return {};
  });
  if (!stored) return std::unexpected(std::move(stored).error());
  crash_point("journal_after_commit");
  std::vector<core::Entry> entries;
  entries.reserve(batch.size());
  Sequence sequence = last_.sequence;
  for (NewEntry& entry : batch) {
    ++sequence.value;
    entries.push_back({sequence, numbers.time, numbers.wall, entry.origin, std::move(entry.event)});
  }
  last_ = numbers;
  mark_.raise_to(last_.sequence);
  return entries;
}

Result<void> Writer::insert(const NewEntry& entry, const LastEntry& numbers) {
  payload_.clear();
  encode(entry.event, payload_);
  EntryRow row;
  row.sequence = numbers.sequence;
  row.numbers = {numbers.time, numbers.wall};
  row.kind = kind_of(entry.event);
  row.gateway = static_cast<std::int64_t>(entry.origin.gateway.value);
  row.ticket = static_cast<std::int64_t>(entry.origin.ticket);
  row.payload = payload_;
  insert_entry_.bind(1, static_cast<std::int64_t>(row.sequence.value))
      .bind(2, row.numbers.time.ms)
      .bind(3, row.numbers.wall.ms)
      .bind(4, row.kind)
      .bind(5, row.gateway)
      .bind(6, row.ticket)
      .bind(7, checksum_of(row))
      .bind(8, row.payload);
  ATELIER_TRY_VOID(insert_entry_.run());
  for (const NewAttachment& attachment : entry.attachments) {
    const std::array<char, 16> id = id_bytes(attachment.ref.id);
    const Packed packed = packer_.pack(*attachment.bytes);
    insert_attachment_.bind(1, std::string_view(id.data(), id.size()));
    insert_attachment_.bind(2, packed.bytes).bind(3, packed.unpacked);
    auto stored = insert_attachment_.run();
    if (!stored && stored.error().code == Errc::conflict) {
      return fail(Errc::conflict, fmt::format("attachment {} is stored already", attachment.ref.id.hex()));
    }
    if (!stored) return stored;
  }
  return {};
}

Result<void> Writer::begin() {
  if (failure_) return std::unexpected(*failure_);
  if (vfs_->failed())
    return latch(Error{Errc::io, "a write or fsync of the journal failed in its automatic checkpoint"});
  if (identity(path_) != database_ || identity(path_ + "-wal") != wal_) {
    return latch(
        Error{Errc::io,
              fmt::format("{} or its -wal file was moved, deleted or replaced while it was open", path_)});
  }
  if (auto begun = begin_.run(); !begun) return undo(std::move(begun).error());
  return {};
}

Result<void> Writer::commit() {
  if (auto committed = commit_.run(); !committed) return undo(std::move(committed).error());
  return {};
}

std::unexpected<Error> Writer::undo(Error error) {
  if (error.code == Errc::io || vfs_->failed()) return latch(std::move(error));
  // SQLite may have rolled back by itself, as it does for some errors within a statement.
  if (connection_->in_transaction()) {
    if (auto undone = rollback_.run(); !undone) return latch(std::move(undone).error());
  }
  return std::unexpected(std::move(error));
}

std::unexpected<Error> Writer::latch(Error error) {
  if (connection_->found_damage()) {
    // A replay may not meet what a write has met: the next start shall know.
    const OwnedDescriptor mark{::open((path_ + "-damaged").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};
  }
  error.code = Errc::io;
  error.what = fmt::format("the journal {} can take nothing more: {}", path_, error.what);
  failure_ = error;
  return std::unexpected(std::move(error));
}

}  // namespace atelier::journal::sqlite
