// SPDX-License-Identifier: MIT
// A journal that lies where nothing can be written: a backup on a read-only file system, somebody else's
// folder.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "journal/dump.hpp"
#include "journal/sqlite/connection.hpp"
#include "journal/sqlite/reader.hpp"
#include "sqlite_rig.hpp"

namespace atelier::journal::sqlite {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCountEntries = "SELECT count(*) FROM entries";

/// With three entries; closed, so that there is no log.
void record_three(SqliteRig& rig) {
  std::vector<core::Entry> entries;
  const auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 3, 10))));
}

void write_file(const std::string& path, std::string_view content) { std::ofstream(path) << content; }

/// As somebody whom the folder's permissions bind, in a process of its own where this one is root's.
std::string without_rights(const std::function<std::string()>& act) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65'534;
    std::string text = "no rights were given up";
    if (::geteuid() != 0 || ::setresuid(kNobody, kNobody, kNobody) == 0) text = act();
    (void)!::write(ends[1], text.data(), text.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  char buffer[4'096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return text;
}

}  // namespace

TEST_CASE("a database is declared immutable only where nobody can write and no log is missed") {
  CHECK(way_to_read(true, std::nullopt, false) == WayToRead::as_usual);
  CHECK(way_to_read(true, 4'096, true) == WayToRead::as_usual);
  CHECK(way_to_read(true, 4'096, false) == WayToRead::as_usual);
  CHECK(way_to_read(false, std::nullopt, false) == WayToRead::immutable);
  CHECK(way_to_read(false, std::nullopt, true) == WayToRead::immutable);
  CHECK(way_to_read(false, 0, false) == WayToRead::immutable);
  CHECK(way_to_read(false, 4'096, false) == WayToRead::none);
  // A server may be at work there.
  CHECK(way_to_read(false, 4'096, true) == WayToRead::as_usual);
  CHECK(way_to_read(false, 0, true) == WayToRead::as_usual);
}

TEST_CASE("where nothing can be written a journal is read, unless a log holds its newest entries") {
  SqliteRig rig;
  record_three(rig);
  REQUIRE(!fs::exists(rig.path() + "-wal"));
  for (const std::string_view name : {"atelier.db", "50% #1?.db"}) {
    const std::string path = rig.folder.file(std::string(name).c_str());
    if (path != rig.path()) fs::copy_file(rig.path(), path);
    const auto connection = Connection::open_read_only(path, false, nullptr);
    REQUIRE_MESSAGE(connection, connection.error().what);
    CHECK(connection->query_integer(kCountEntries).value_or(0) == 3);
    CHECK(!fs::exists(path + "-wal"));
    CHECK(!fs::exists(path + "-shm"));
  }
  write_file(rig.path() + "-wal", "content");
  const auto refused = Connection::open_read_only(rig.path(), false, nullptr);
  REQUIRE(!refused);
  CHECK(refused.error().code == Errc::config);
  CHECK_MESSAGE(refused.error().what.find("to a folder that can be written") != std::string::npos,
                refused.error().what);
}

TEST_CASE("who may read a journal but not write beside it checks all of it") {
  SqliteRig rig;
  record_three(rig);
  const std::string path = rig.path();
  const fs::path folder = fs::path(path).parent_path();
  for (const auto& file : fs::directory_iterator(folder))
    fs::permissions(file.path(), fs::perms::owner_read | fs::perms::group_read | fs::perms::others_read);
  fs::permissions(folder, fs::perms(0555));
  const std::string found = without_rights([&path]() -> std::string {
    auto reader = Reader::open(path);
    if (!reader) return reader.error().what;
    const CheckReport report = check(**reader);
    return fmt::format("{} entries, {} problems", report.entries, report.problems.size());
  });
  fs::permissions(folder, fs::perms(0755));
  CHECK(found == "3 entries, 0 problems");
}

}  // namespace atelier::journal::sqlite
