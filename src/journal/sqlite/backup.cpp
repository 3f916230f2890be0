// SPDX-License-Identifier: MIT
#include "journal/sqlite/backup.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/crash_point.hpp"
#include "journal/dump.hpp"
#include "journal/sqlite/begun_mark.hpp"
#include "journal/sqlite/connection.hpp"
#include "journal/sqlite/database_copy.hpp"
#include "journal/sqlite/lock_file.hpp"
#include "journal/sqlite/reader.hpp"
#include "journal/sqlite/schema.hpp"
#include "journal/sqlite/sql.hpp"

namespace atelier::journal::sqlite {
namespace {

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

/// What can be known before it is copied; gives its schema version.
Result<std::int64_t> check_backup(const Connection& backup, const std::string& path) {
  const auto application = backup.query_integer(sql::kGetApplicationId);
  if (!application || *application != sql::kApplicationId)
    return fail(Errc::config, fmt::format("{} is not a journal of Atelier", path));
  ATELIER_TRY(const std::int64_t version, backup.query_integer(sql::kGetUserVersion));
  if (version > sql::kSchemaVersion)
    return fail(Errc::newer_version,
                fmt::format("{} was written by a newer Atelier (schema version {})", path, version));
  const auto problems = backup.quick_check();
  if (problems && problems->empty()) return version;
  return fail(Errc::config,
              fmt::format("{} is damaged: {}", path, problems ? problems->front() : problems.error().what));
}

/// Reads all of the copy, as a server would and `journal check` does; gives its newest entry.
Result<Sequence> check_copy(const std::string& copy, const std::string& from) {
  ATELIER_TRY(const auto reader, Reader::open(copy));
  const CheckReport report = check(*reader);
  if (report.problems.empty()) return report.last;
  return fail(Errc::config, fmt::format("{} is damaged: {}", from, report.problems.front()));
}

/// A copy of the backup that this release can read.
Result<std::uint64_t> copy_backup(const std::string& from, const std::string& to) {
  ATELIER_TRY(const Connection backup, Connection::open(from, Connection::Access::read_only, nullptr));
  ATELIER_TRY(const std::int64_t version, check_backup(backup, from));
  ATELIER_TRY(const std::uint64_t bytes, copy_database(backup, to));
  ATELIER_TRY(const Connection copy, Connection::open(to, Connection::Access::read_write, nullptr));
  ATELIER_TRY_VOID(migrate(copy, version));
  return bytes;
}

/// Into the database with what its log holds, so that one file is all of it. A damaged one stays as it is.
void empty_log(const std::string& path) {
  const auto connection = Connection::open(path, Connection::Access::read_write, nullptr);
  if (connection) (void)connection->query_integer(sql::kTruncateLog);
}

bool has_bytes(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && status.st_size > 0;
}

/// A second name for what is there: the journal, and its log if it could not be emptied, or the log alone. A
/// log that stayed would be read into the restored one.
Result<std::string> keep_aside(const std::string& path) {
  if (has_bytes(path)) empty_log(path);  // beside an empty file the log would be thrown away
  for (int n = 1;; ++n) {
    std::string kept = fmt::format("{}.before-restore-{}", path, n);
    if (exists(kept) || exists(kept + "-wal")) continue;
    for (const char* log : {"-wal", "-shm"}) {
      if (exists(path + log) && ::rename((path + log).c_str(), (kept + log).c_str()) != 0)
        return std::unexpected(errno_error(errno, "move " + path + log));
    }
    if (exists(path) && ::link(path.c_str(), kept.c_str()) != 0)
      return std::unexpected(errno_error(errno, "keep " + path + " as " + kept));
    return kept;
  }
}

}  // namespace

Result<std::uint64_t> back_up(const std::string& path, const std::string& to) {
  ATELIER_TRY_VOID(Reader::open(path));  // what it is, and of which version
  ATELIER_TRY(const Connection journal, Connection::open(path, Connection::Access::read_only, nullptr));
  if (exists(to)) return fail(Errc::conflict, fmt::format("{} exists: name a new file", to));
  const std::string part = to + ".part";
  auto bytes = copy_database(journal, part);
  if (!bytes) {
    ::unlink(part.c_str());
    return bytes;
  }
  if (::link(part.c_str(), to.c_str()) != 0) {
    const int error = errno;
    ::unlink(part.c_str());
    if (error == EEXIST) return fail(Errc::conflict, fmt::format("{} exists: name a new file", to));
    return std::unexpected(errno_error(error, "name " + to));
  }
  ::unlink(part.c_str());
  ATELIER_TRY_VOID(sync_folder_of(to));
  return bytes;
}

Result<RestoreReport> restore(const std::string& path, const std::string& from) {
  ATELIER_TRY(const LockFile lock, LockFile::take(path));
  RestoreReport report;
  const std::string part = path + ".restore";
  ATELIER_TRY(report.bytes, copy_backup(from, part));
  const auto last = check_copy(part, from);
  if (!last) {
    ::unlink(part.c_str());
    return std::unexpected(last.error());
  }
  crash_point("journal_restore_copied");
  if (exists(path) || exists(path + "-wal") || exists(path + "-shm")) {
    ATELIER_TRY(report.kept_as, keep_aside(path));
    ATELIER_TRY_VOID(sync_folder_of(path));  // the log is away before the backup is there
  }
  ATELIER_TRY_VOID(BegunMark(path).lower_to(*last));
  crash_point("journal_restore_kept");
  if (::rename(part.c_str(), path.c_str()) != 0) return std::unexpected(errno_error(errno, "rename " + part));
  ::unlink((path + "-damaged").c_str());  // of what was there
  ATELIER_TRY_VOID(sync_folder_of(path));
  return report;
}

}  // namespace atelier::journal::sqlite
