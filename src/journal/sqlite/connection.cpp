// SPDX-License-Identifier: MIT
#include "journal/sqlite/connection.hpp"

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "journal/sqlite/sql.hpp"

namespace atelier::journal::sqlite {
namespace {

constexpr int kBusyMs = 5'000;

/// sqlite.org/rescode.html. What is not named here means that the disk, the file or the program is broken.
Errc code_of(int result) {
  // The log's index (-shm) could not grow: there is no space; it holds nothing that lasts.
  if (result == SQLITE_IOERR_SHMSIZE) return Errc::disk_full;
  switch (result & 0xff) {
    case SQLITE_FULL:
      return Errc::disk_full;
    case SQLITE_CONSTRAINT:
      return Errc::conflict;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Errc::unavailable;
    case SQLITE_TOOBIG:
      return Errc::too_large;
    case SQLITE_NOTADB:
      return Errc::config;
    default:
      return Errc::io;
  }
}

std::unexpected<Error> failure(sqlite3* connection, int result) {
  const int system = sqlite3_system_errno(connection);
  std::string text =
      fmt::format("SQLite: {} (code {}", sqlite3_errmsg(connection), sqlite3_extended_errcode(connection));
  text += system == 0 ? ")" : fmt::format(", errno {})", system);
  return fail(code_of(result), std::move(text));
}

std::optional<std::uint64_t> size_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

bool folder_of_is_writable(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return ::access(folder.empty() ? "." : folder.c_str(), W_OK) == 0;
}

/// sqlite.org/uri.html
std::string immutable_uri(const std::string& path) {
  std::string uri = path.starts_with('/') ? "file://" : "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      uri += fmt::format("%{:02x}", static_cast<unsigned>(c));
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

WayToRead way_to_read(bool folder_writable, std::optional<std::uint64_t> log_bytes, bool index) {
  // With both files there a server may have the database open, which immutable would not notice.
  if (folder_writable || (log_bytes && index)) return WayToRead::as_usual;
  return log_bytes.value_or(0) > 0 ? WayToRead::none : WayToRead::immutable;
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Statement& Statement::bind(int place, std::int64_t value) {
  sqlite3_bind_int64(statement_.get(), place, value);
  return *this;
}

Statement& Statement::bind(int place, std::string_view blob) {
  // A null pointer would bind NULL; an empty blob is not that.
  if (blob.empty()) {
    sqlite3_bind_zeroblob(statement_.get(), place, 0);
  } else if (sqlite3_bind_blob64(statement_.get(), place, blob.data(), blob.size(), SQLITE_STATIC) !=
             SQLITE_OK) {
    sqlite3_bind_null(statement_.get(),
                      place);  // above SQLite's 1 GB: NOT NULL refuses the row as a conflict
  }
  return *this;
}

Statement& Statement::bind_text(int place, std::string_view text) {
  sqlite3_bind_text64(statement_.get(), place, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
  return *this;
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) {
    reset();
    return false;
  }
  auto error = failure(sqlite3_db_handle(statement_.get()), result);
  reset();
  return error;
}

Result<void> Statement::run() {
  ATELIER_TRY(const bool row, step());
  if (row) reset();
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }

std::string_view Statement::blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return bytes == nullptr ? std::string_view{}
                          : std::string_view(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

void Connection::Close::operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }

Result<Connection> Connection::open(const std::string& path, Access access, const char* vfs) {
  if (access == Access::read_only) return open_read_only(path, folder_of_is_writable(path), vfs);
  return open_with(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs, path);
}

Result<Connection> Connection::open_read_only(const std::string& path, bool folder_writable,
                                              const char* vfs) {
  if (!size_of(path)) return std::unexpected(errno_error(errno, "open the journal " + path));
  switch (way_to_read(folder_writable, size_of(path + "-wal"), size_of(path + "-shm").has_value())) {
    case WayToRead::as_usual:
      break;
    case WayToRead::immutable:
      return open_with(immutable_uri(path), SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, vfs, path);
    case WayToRead::none:
      return fail(Errc::config,
                  fmt::format("{0} cannot be read where nothing can be written, because {0}-wal holds its "
                              "newest entries: copy {0}, {0}-wal and {0}-begun to a folder that can be "
                              "written and read it there",
                              path));
  }
  return open_with(path, SQLITE_OPEN_READONLY, vfs, path);
}

Result<Connection> Connection::open_with(const std::string& name, int flags, const char* vfs,
                                         const std::string& path) {
  sqlite3* raw = nullptr;
  const int result =
      sqlite3_open_v2(name.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);
  Connection connection(raw);
  if (result != SQLITE_OK) {
    const char* reason = raw == nullptr ? "out of memory" : sqlite3_errmsg(raw);
    return fail(Errc::config, fmt::format("cannot open the journal {}: {}", path, reason));
  }
  sqlite3_busy_timeout(raw, kBusyMs);
  return connection;
}

Result<Statement> Connection::prepare(const char* statement) const {
  sqlite3_stmt* raw = nullptr;
  const int result =
      sqlite3_prepare_v3(connection_.get(), statement, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (result != SQLITE_OK) return failure(connection_.get(), result);
  return Statement(raw);
}

Result<void> Connection::execute(const char* statements) const {
  const int result = sqlite3_exec(connection_.get(), statements, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return failure(connection_.get(), result);
  return {};
}

Result<std::int64_t> Connection::query_integer(const char* statement) const {
  ATELIER_TRY(Statement query, prepare(statement));
  ATELIER_TRY(const bool row, query.step());
  return row ? query.integer(0) : 0;
}

bool Connection::in_transaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }

std::int64_t Connection::changes() const { return sqlite3_changes64(connection_.get()); }

bool Connection::found_damage() const {
  const int code = sqlite3_errcode(connection_.get()) & 0xff;
  return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

Result<std::vector<std::string>> Connection::quick_check() const {
  ATELIER_TRY(Statement check, prepare(sql::kQuickCheck));
  std::vector<std::string> problems;
  while (true) {
    ATELIER_TRY(const bool row, check.step());
    if (!row) return problems;
    if (std::string_view text = check.blob(0); text != "ok") problems.emplace_back(text);
  }
}

void Connection::close_without_checkpoint() const {
  sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Result<ReadTransaction> ReadTransaction::begin(const Connection& connection) {
  ATELIER_TRY_VOID(connection.execute(sql::kBeginRead));
  return ReadTransaction(connection);
}

ReadTransaction::ReadTransaction(ReadTransaction&& other) noexcept
    : connection_(std::exchange(other.connection_, nullptr)) {}

ReadTransaction::~ReadTransaction() {
  if (connection_ != nullptr) static_cast<void>(connection_->execute(sql::kRollback));
}

}  // namespace atelier::journal::sqlite
