// SPDX-License-Identifier: MIT
#pragma once
// The one writing connection (reliability.md C2). Every call blocks; one thread at a time, the writer lane's.

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "journal/journal.hpp"
#include "journal/packing.hpp"
#include "journal/sqlite/begun_mark.hpp"
#include "journal/sqlite/connection.hpp"
#include "journal/sqlite/guarded_vfs.hpp"
#include "journal/sqlite/lock_file.hpp"

namespace atelier::journal::sqlite {

/// The newest entry's numbers; zero in a fresh journal. The newest entry is never pruned.
struct LastEntry {
  Sequence sequence;
  Time time;
  WallTime wall;
};

class Writer {
 public:
  /// Opens or makes the database, locks it against a second server, migrates it.
  /// Errors: config (locked, not a journal of ours, emptied, cannot be opened), newer_version, disk_full, io.
  [[nodiscard]] static Result<std::unique_ptr<Writer>> open(const std::string& path, FaultInjection inject);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// What is latched: from then on nothing is written, not even at the end. Open, but with this from the
  /// start: the newest entry cannot be read, or is not the newest that there was.
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  void give_up(Error error) { failure_ = std::move(error); }

  [[nodiscard]] const LastEntry& last() const { return last_; }

  /// One commit, every entry with `time` and `wall`; gives the entries of the batch as recorded.
  [[nodiscard]] Result<std::vector<core::Entry>> append(Batch batch, Time time, WallTime wall);

  /// One transaction around `body() -> Result<void>`. After an error nothing of it is stored; io latches:
  /// from then on every call fails, and nothing is written or synced any more.
  template <class Body>
  [[nodiscard]] Result<void> transaction(Body body) {
    ATELIER_TRY_VOID(begin());
    if (Result<void> done = body(); !done) return undo(std::move(done).error());
    return commit();
  }
  [[nodiscard]] Result<Statement> prepare(const char* statement);
  /// Rows of the last INSERT, UPDATE or DELETE.
  [[nodiscard]] std::int64_t changes() const { return connection_->changes(); }

 private:
  struct FileIdentity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileIdentity&) const = default;
  };

  explicit Writer(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] Result<void> prepare_schema();
  [[nodiscard]] Result<void> keep_copy(std::int64_t version);
  [[nodiscard]] Result<void> prepare_statements();
  [[nodiscard]] Result<void> find_last();
  /// After a write that met damage: a full check at the next start.
  [[nodiscard]] Result<void> look_for_mark();
  [[nodiscard]] Result<void> insert(const NewEntry& entry, const LastEntry& numbers);
  [[nodiscard]] Result<void> begin();
  [[nodiscard]] Result<void> commit();
  [[nodiscard]] std::unexpected<Error> undo(Error error);
  [[nodiscard]] std::unexpected<Error> latch(Error error);
  [[nodiscard]] static FileIdentity identity(const std::string& path);

  std::string path_;
  LockFile lock_;
  BegunMark mark_;
  std::unique_ptr<GuardedVfs> vfs_;  // before the connection: outlives it
  std::optional<Connection> connection_;
  Statement begin_, commit_, rollback_, insert_entry_, insert_attachment_;
  FileIdentity database_, wal_;
  LastEntry last_;
  std::optional<Error> failure_;
  std::string payload_;  // scratch
  Packer packer_;
};

}  // namespace atelier::journal::sqlite
