// SPDX-License-Identifier: MIT
#pragma once
// SQLite's C interface as owning values. A Connection and its Statements are used by one thread at a time.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace atelier::journal::sqlite {

/// A prepared statement, used again and again: bind all, step, reset. Bound bytes must live until reset.
class Statement {
 public:
  Statement() = default;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}

  Statement& bind(int place, std::int64_t value);
  Statement& bind(int place, std::string_view blob);
  Statement& bind_text(int place, std::string_view text);
  /// True: a row is there. False: done, and the statement is reset. After an error it is reset, too.
  [[nodiscard]] Result<bool> step();
  /// For statements without rows.
  [[nodiscard]] Result<void> run();
  void reset();
  [[nodiscard]] std::int64_t integer(int column) const;
  /// Valid until the next step or reset.
  [[nodiscard]] std::string_view blob(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

/// How a database can be opened that is only read. SQLite wants to make the index (-shm) of a log (-wal), and
/// cannot where nothing can be written; a database that has no log can be declared immutable there
/// (sqlite.org/wal.html, "Read-Only Databases").
enum class WayToRead { as_usual, immutable, none };
/// `log_bytes`: of the log beside the database; empty: there is none.
[[nodiscard]] WayToRead way_to_read(bool folder_writable, std::optional<std::uint64_t> log_bytes, bool index);

class Connection {
 public:
  enum class Access { read_write, read_only };
  /// `vfs`: name of a registered VFS, or null. Errors: config (cannot be opened at all), not_found
  /// (read_only; config also if its log cannot be read where it lies).
  [[nodiscard]] static Result<Connection> open(const std::string& path, Access access, const char* vfs);
  /// read_only, by somebody who may write into the database's folder, or may not.
  [[nodiscard]] static Result<Connection> open_read_only(const std::string& path, bool folder_writable,
                                                         const char* vfs);

  [[nodiscard]] Result<Statement> prepare(const char* statement) const;
  /// Several statements without rows.
  [[nodiscard]] Result<void> execute(const char* statements) const;
  /// The first column of the first row; 0 without a row.
  [[nodiscard]] Result<std::int64_t> query_integer(const char* statement) const;
  [[nodiscard]] bool in_transaction() const;
  /// Rows of the last INSERT, UPDATE or DELETE.
  [[nodiscard]] std::int64_t changes() const;
  /// The last failure was that pages of the database are not what SQLite wrote.
  [[nodiscard]] bool found_damage() const;
  /// PRAGMA quick_check: one sentence for each thing that is wrong. Reads all of it.
  [[nodiscard]] Result<std::vector<std::string>> quick_check() const;
  /// Closing must not write or sync anything any more.
  void close_without_checkpoint() const;

 private:
  struct Close {
    void operator()(sqlite3* connection) const;
  };
  explicit Connection(sqlite3* connection) : connection_(connection) {}
  [[nodiscard]] static Result<Connection> open_with(const std::string& name, int flags, const char* vfs,
                                                    const std::string& path);
  std::unique_ptr<sqlite3, Close> connection_;
};

/// BEGIN now, ROLLBACK at the end of the scope: one view of the store for several reads.
class ReadTransaction {
 public:
  [[nodiscard]] static Result<ReadTransaction> begin(const Connection& connection);
  ReadTransaction(ReadTransaction&& other) noexcept;
  ReadTransaction& operator=(ReadTransaction&&) = delete;
  ~ReadTransaction();

 private:
  explicit ReadTransaction(const Connection& connection) : connection_(&connection) {}
  const Connection* connection_;
};

}  // namespace atelier::journal::sqlite
