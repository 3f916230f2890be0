// SPDX-License-Identifier: MIT
// Damaged files (reliability.md B1 6, 17): what is read is what was recorded, up to the damage.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <random>
#include <string_view>

#include "journal/dump.hpp"
#include "journal/sqlite/backup.hpp"
#include "sqlite_rig.hpp"

namespace atelier::journal::sqlite {
namespace {

namespace fs = std::filesystem;

/// 1,000 of each damage in the night, fewer in a hurry.
std::uint64_t seeds() {
  const char* mode = std::getenv("ATELIER_TEST_MODE");
  return mode != nullptr && std::string_view(mode) == "long" ? 1'000 : 100;
}

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Forty batches of three, and a checkpoint after the tenth; how long the log was after each.
struct Original {
  explicit Original(bool folded) {
    SqliteRig rig;
    {
      auto opened = rig.open();
      REQUIRE(opened);
      journal::Journal& journal = **opened;
      for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        auto recorded = rig.get(journal.append(submits(seed, 3, 700)));
        REQUIRE(recorded);
        for (core::Entry& entry : *recorded) entries.push_back(std::move(entry));
        if (seed == 10) REQUIRE(rig.get(journal.checkpoint({30}, records())));
        log_after.push_back(fs::file_size(rig.path() + "-wal"));
      }
      if (!folded) read(rig);  // a copy while it is open is what a power cut leaves
    }
    if (folded) read(rig);
  }

  static std::vector<core::CheckpointRecord> records() {
    std::vector<core::CheckpointRecord> records;
    for (std::uint64_t n = 1; n <= 40; ++n) {
      core::ParticipantFacts facts;
      facts.participant = {n};
      facts.used_ms = n * 1'000;
      records.emplace_back(facts);
    }
    return records;
  }

  void read(const SqliteRig& rig) {
    database = content_of(rig.path());
    log = content_of(rig.path() + "-wal");
    mark = content_of(rig.path() + "-begun");
  }

  std::vector<core::Entry> entries;
  std::vector<std::uint64_t> log_after;
  std::string database, log, mark;
};

/// What a replay gives before it ends, well or badly.
struct Read {
  std::vector<core::CheckpointRecord> records;
  std::vector<core::Entry> entries;
  std::optional<Error> error;
};

/// Without `mark` nobody knows how far the journal had come.
Read replay_of(SqliteRig& rig, const std::string& database, const std::string& log,
               const std::string& mark = "") {
  for (const char* suffix : {"-shm", "-lock", "-wal", "-begun"}) fs::remove(rig.path() + suffix);
  if (!mark.empty()) std::ofstream(rig.path() + "-begun", std::ios::binary) << mark;
  std::ofstream(rig.path(), std::ios::binary) << database;
  if (!log.empty()) std::ofstream(rig.path() + "-wal", std::ios::binary) << log;
  Read read;
  auto journal = rig.open();
  if (!journal) {
    read.error = journal.error();
    return read;
  }
  auto collect = [&](ReplayPage& page) -> Result<void> {
    for (auto& record : page.records) read.records.push_back(std::move(record));
    for (auto& entry : page.entries) read.entries.push_back(std::move(entry));
    return {};
  };
  if (auto done = rig.get((*journal)->replay(collect)); !done) {
    read.error = done.error();
    if (done.error().code != Errc::io) return read;
    CHECK(!(*journal)->healthy());  // and nothing is recorded any more
    auto more = rig.get((*journal)->append(submits(99, 1, 10)));
    CHECK(!more);
  }
  return read;
}

TEST_CASE("a torn or flipped log loses only what lay at or behind the damage, by whole commits") {
  const Original original(false);
  REQUIRE(original.log.size() > 100'000);
  SqliteRig rig;
  std::mt19937_64 random(17);
  std::uint64_t shorter = 0;
  for (std::uint64_t seed = 0; seed < seeds(); ++seed) {
    CAPTURE(seed);
    std::string log = original.log;
    const std::size_t at = random() % log.size();
    switch (seed % 3) {
      case 0:
        log.resize(at);
        break;
      case 1:
        log[at] ^= static_cast<char>(1 << random() % 8);
        break;
      default:  // a sector that was never written
        for (std::size_t i = at / 512 * 512; i < std::min(log.size(), at / 512 * 512 + 512); ++i) log[i] = 0;
    }
    const Read read = replay_of(rig, original.database, log);
    REQUIRE_MESSAGE(!read.error, read.error->what);
    const std::size_t replayed_from = read.records.empty() ? 0 : 30;
    const std::size_t recorded = replayed_from + read.entries.size();
    CHECK(recorded % 3 == 0);
    const std::size_t before = seed % 3 == 2 ? at / 512 * 512 : at;
    std::size_t whole = 0;  // commits that lie before the damage
    while (whole < 40 && original.log_after[whole] <= before) ++whole;
    CHECK(recorded >= 3 * whole);
    if (recorded < 120) ++shorter;
    const CheckReport report = check(*rig.reader());
    CHECK_MESSAGE(report.problems.empty(), report.problems[0]);
    CHECK(report.attachments == recorded);
    for (std::size_t i = 0; i < read.entries.size(); ++i)
      CHECK(same(read.entries[i], original.entries[replayed_from + i]));
  }
  CHECK(shorter > seeds() / 2);
}

TEST_CASE("a log that was cut between two commits is missed by the mark beside it") {
  const Original original(false);
  const std::size_t commits = original.log_after.size();
  SqliteRig rig;
  for (std::size_t kept = 0; kept <= commits; kept += 5) {
    CAPTURE(kept);
    const std::string log = original.log.substr(0, kept == 0 ? 0 : original.log_after[kept - 1]);
    if (kept == 0) fs::remove(rig.path() + "-wal");
    const Read read = replay_of(rig, original.database, log, original.mark);
    const std::size_t first = read.records.empty() ? 0 : 30;
    if (kept == commits) {
      CHECK(!read.error);
      CHECK(first + read.entries.size() == 120);
      continue;
    }
    REQUIRE(read.error);
    if (kept == 0) {  // not even its tables are there
      CHECK(read.error->code == Errc::config);
      CHECK(read.error->what.find("entries up to 120 has been there") != std::string::npos);
      continue;
    }
    CHECK(first + read.entries.size() == 3 * kept);
    const std::string words =
        fmt::format("entry {} of the journal: it is missing, though entries up to 120", 3 * kept + 1);
    CHECK_MESSAGE(read.error->what.starts_with(words), read.error->what);
    const CheckReport report = check(*rig.reader());
    REQUIRE(report.problems.size() == 1);
    CHECK(report.problems[0] == read.error->what);
    // Whoever wants to go on with what is left removes the mark.
    CHECK(!replay_of(rig, original.database, log).error);
  }
}

TEST_CASE("a log without its database is kept aside, and not read into the backup that is put back") {
  const Original original(false);
  SqliteRig rig;
  {
    auto journal = rig.open();
    REQUIRE(journal);
    REQUIRE(rig.get((*journal)->append(submits(7, 3, 700))));
  }
  const std::string backup = rig.folder.file("backup.db");
  REQUIRE(back_up(rig.path(), backup));
  for (const bool emptied : {false, true}) {
    CAPTURE(emptied);
    std::ofstream(rig.path() + "-wal", std::ios::binary) << original.log;
    fs::remove(rig.path());
    if (emptied) std::ofstream(rig.path(), std::ios::binary) << "";
    const auto restored = restore(rig.path(), backup);
    REQUIRE_MESSAGE(restored, restored.error().what);
    CHECK(fs::file_size(restored->kept_as + "-wal") == original.log.size());
    const CheckReport report = check(*rig.reader());
    CHECK(report.problems.empty());
    CHECK(report.last == Sequence{3});
    CHECK(rig.open());
  }
}

TEST_CASE("a database that was cut between two pages is not taken for one of fewer entries") {
  const Original original(true);
  SqliteRig rig;
  for (std::size_t size = 8'192; size < original.database.size(); size += 3 * 8'192) {
    CAPTURE(size);
    const Read read = replay_of(rig, original.database.substr(0, size), "");
    REQUIRE(read.error);
    CHECK(read.error->code == Errc::io);
  }
  CHECK(!replay_of(rig, original.database, "").error);
}

TEST_CASE("a mark that is damaged still says that a journal has begun, and no more") {
  const Original original(true);
  SqliteRig rig;
  for (std::size_t at = original.mark.size() - 30; at < original.mark.size(); ++at) {
    CAPTURE(at);
    std::string mark = original.mark;
    mark[at] ^= 1;
    CHECK(!replay_of(rig, original.database, "", mark).error);
    const Read emptied = replay_of(rig, "", "", mark);
    REQUIRE(emptied.error);
    CHECK(emptied.error->code == Errc::config);
  }
  CHECK(!replay_of(rig, original.database, "", "?").error);
}

TEST_CASE("a database damaged anywhere gives what was recorded, or a beginning of it and an error") {
  const Original original(true);
  REQUIRE(original.log.empty());
  REQUIRE(original.database.size() > 100'000);
  SqliteRig rig;
  std::mt19937_64 random(23);
  std::uint64_t found = 0;
  for (std::uint64_t seed = 0; seed < seeds(); ++seed) {
    CAPTURE(seed);
    std::string database = original.database;
    const std::size_t at = random() % database.size();
    if (seed % 3 == 0) {
      for (std::size_t i = at / 8'192 * 8'192; i < at / 8'192 * 8'192 + 8'192; ++i)
        database[i] = static_cast<char>(random());
    } else if (seed % 3 == 1) {  // one bit, in what an entry says
      const std::size_t entry = database.find(fmt::format("{}-{}", 1 + seed % 40, seed % 2));
      REQUIRE(entry != std::string::npos);
      database[entry] ^= static_cast<char>(1 << random() % 8);
    } else {
      for (std::size_t i = at; i < std::min(database.size(), at + 64); ++i)
        database[i] = static_cast<char>(random());
    }
    const Read read = replay_of(rig, database, "");
    if (read.error) ++found;
    CHECK(read.records.size() <= 40);
    for (std::size_t i = 0; i < read.records.size(); ++i) CHECK((read.records[i] == Original::records()[i]));
    const std::size_t first = read.entries.empty() ? 0 : read.entries.front().sequence.value - 1;
    CHECK((first == 0 || first == 30));
    for (std::size_t i = 0; i < read.entries.size(); ++i) {
      CHECK(read.entries[i].sequence.value == first + i + 1);
      CHECK((read.entries[i].event == original.entries.at(first + i).event));
    }
    if (!read.error) CHECK(first + read.entries.size() == 120);
  }
  CHECK(found > seeds() / 10);
}

/// The page on which a table or an index begins, from 1.
std::size_t root_page_of(const std::string& path, const std::string& name) {
  sqlite3* shell = nullptr;
  sqlite3_stmt* query = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &shell) == SQLITE_OK);
  const std::string text = fmt::format("SELECT rootpage FROM sqlite_schema WHERE name = '{}'", name);
  REQUIRE(sqlite3_prepare_v2(shell, text.c_str(), -1, &query, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(query) == SQLITE_ROW);
  const auto page = static_cast<std::size_t>(sqlite3_column_int64(query, 0));
  sqlite3_finalize(query);
  sqlite3_close(shell);
  return page;
}

TEST_CASE("damage that only a write meets is remembered: the next start writes no more, until it is mended") {
  SqliteRig rig;
  std::vector<core::Entry> entries;
  for (std::uint64_t life = 0; life < 2; ++life)
    REQUIRE(rig.get(open_and_replay(rig, entries)->append(submits(1 + life, 3, 700))));
  const std::string good = content_of(rig.path());
  std::string bad = good;
  const std::size_t page = root_page_of(rig.path(), "sqlite_autoindex_attachments_1");
  for (std::size_t i = 0; i < 8'192; ++i) bad[(page - 1) * 8'192 + i] = static_cast<char>(i * 37);
  std::ofstream(rig.path(), std::ios::binary) << bad;
  {
    entries.clear();
    auto journal = open_and_replay(rig, entries);
    CHECK(journal->healthy());  // nothing that a replay reads
    CHECK(rig.get(journal->append(submits(9, 3, 700))).error().code == Errc::io);
  }
  const std::string left = content_of(rig.path());
  {
    entries.clear();
    auto journal = open_and_replay(rig, entries);
    CHECK(entries.size() == 6);
    CHECK(!journal->healthy());
    CHECK(rig.get(journal->append(submits(9, 3, 700))).error().code == Errc::io);
  }
  CHECK((content_of(rig.path()) == left));
  std::ofstream(rig.path(), std::ios::binary) << good;
  for (int life = 0; life < 2; ++life) {
    entries.clear();
    auto journal = open_and_replay(rig, entries);
    CHECK(journal->healthy());
    CHECK(rig.get(journal->append(submits(20 + entries.size(), 3, 700))));
  }
}

}  // namespace
}  // namespace atelier::journal::sqlite
