// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>

#include "journal/dump.hpp"
#include "journal/sqlite/backup.hpp"
#include "journal/sqlite/blob.hpp"
#include "sqlite_rig.hpp"

namespace atelier::journal::sqlite {
namespace {

namespace fs = std::filesystem;

TEST_CASE("the SQLite journal keeps the contract") {
  journal_suite([] { return std::make_unique<SqliteRig>(); });
}

/// SQL: crc32(blob), the checksum of a payload as releases before schema 3 wrote it.
void crc32_of(sqlite3_context* context, int, sqlite3_value** values) {
  const auto size = static_cast<std::size_t>(sqlite3_value_bytes(values[0]));
  const auto* bytes = static_cast<const char*>(sqlite3_value_blob(values[0]));
  sqlite3_result_int64(context, checksum({bytes, size}));
}

/// Carries out statements with a connection of its own, as an operator's shell would.
void shell(const std::string& path, const std::string& statement) {
  sqlite3* connection = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &connection) == SQLITE_OK);
  REQUIRE(sqlite3_create_function(connection, "crc32", 1, SQLITE_UTF8, nullptr, crc32_of, nullptr, nullptr) ==
          SQLITE_OK);
  REQUIRE(sqlite3_exec(connection, statement.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(connection);
}

/// The first number of the first row.
std::int64_t number_from(const std::string& path, const std::string& query) {
  sqlite3* connection = nullptr;
  sqlite3_stmt* statement = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &connection) == SQLITE_OK);
  REQUIRE(sqlite3_prepare_v2(connection, query.c_str(), -1, &statement, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
  const std::int64_t number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(connection);
  return number;
}

Error open_error(SqliteRig& rig) {
  auto opened = rig.open();
  REQUIRE(!opened);
  return opened.error();
}

void fill(SqliteRig& rig, std::uint64_t batches) {
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  for (std::uint64_t seed = 1; seed <= batches; ++seed) {
    REQUIRE(rig.get(journal->append(submits(entries.size() + seed, 3, 700))));
  }
}

TEST_CASE("a second server on the same journal is refused, one after the other is not") {
  SqliteRig rig;
  auto first = rig.open();
  REQUIRE(first);
  const Error error = open_error(rig);
  CHECK(error.code == Errc::config);
  CHECK(error.what == fmt::format("another server is using {}", rig.path()));
  first->reset();
  CHECK(rig.open());
}

TEST_CASE("a journal written by a newer release is refused and left as it is") {
  SqliteRig rig;
  fill(rig, 1);
  shell(rig.path(), "PRAGMA user_version = 4");
  CHECK(open_error(rig).code == Errc::newer_version);
  CHECK(open_reader(rig.path()).error().code == Errc::newer_version);
  shell(rig.path(), "PRAGMA user_version = 3");
  std::vector<core::Entry> entries;
  static_cast<void>(open_and_replay(rig, entries));
  CHECK(entries.size() == 3);
}

TEST_CASE(
    "another program's database, a file that is none, and a missing folder are configuration mistakes") {
  SqliteRig rig;
  SUBCASE("tables without our mark") { shell(rig.path(), "CREATE TABLE recipes (name TEXT)"); }
  SUBCASE("another mark") { shell(rig.path(), "PRAGMA application_id = 77"); }
  SUBCASE("no database") { std::ofstream(rig.path()) << std::string(5'000, 'x'); }
  SUBCASE("a folder in its place") { fs::create_directory(rig.path()); }
  CHECK(open_error(rig).code == Errc::config);
  CHECK(sqlite::open(rig.real_runtime, {rig.folder.file("missing") + "/atelier.db", {}}).error().code ==
        Errc::config);
  CHECK(open_reader(rig.folder.file("missing.db")).error().code == Errc::not_found);
}

TEST_CASE("an emptied database of a journal that has begun is no new one, until its mark is removed") {
  SqliteRig rig;
  {
    const auto fresh = rig.open();
    REQUIRE(fresh);
  }
  CHECK(!fs::exists(rig.path() + "-begun"));  // nothing to lose yet
  fill(rig, 4);
  const std::string path = rig.path(), other = rig.folder.file("other.db");
  SUBCASE("removed") { fs::remove(path); }
  SUBCASE("cut to nothing") { fs::resize_file(path, 0); }
  SUBCASE("an empty one in its place") {
    shell(other, "CREATE TABLE t (a); DROP TABLE t");
    REQUIRE(fs::file_size(other) > 0);
    fs::rename(other, path);
  }
  SUBCASE("a new journal in its place") {
    REQUIRE(sqlite::open(rig.real_runtime, {other, {}}));
    fs::rename(other, path);
  }
  SUBCASE("its tables emptied") {
    shell(path, "DELETE FROM entries; DELETE FROM attachments; DELETE FROM checkpoints");
  }
  const bool there = fs::exists(path);
  const auto size = there ? fs::file_size(path) : 0;
  const Error error = open_error(rig);
  CHECK(error.code == Errc::config);
  CHECK_MESSAGE(error.what.find("entries up to 12 has been there") != std::string::npos, error.what);
  CHECK(error.what.find("remove " + path + "-begun to begin anew") != std::string::npos);
  CHECK(fs::exists(path) == there);
  if (there) CHECK(fs::file_size(path) == size);
  if (auto reader = open_reader(path)) {
    CHECK(check(**reader).problems.size() == 1);
  } else {
    CHECK(reader.error().what == error.what);
  }
  fs::remove(path + "-begun");
  std::vector<core::Entry> entries;
  REQUIRE(rig.get(open_and_replay(rig, entries)->append(submits(1, 1, 10))));
  CHECK(entries.empty());
  CHECK(fs::exists(path + "-begun"));
}

TEST_CASE("a journal file that is moved or replaced while it is open latches the failure") {
  SqliteRig rig;
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 1, 10))));
  std::string changed = rig.path();
  SUBCASE("the database deleted") { fs::remove(changed); }
  SUBCASE("the database replaced") {
    fs::rename(changed, changed + ".old");
    std::ofstream(changed).put('x');
  }
  SUBCASE("the log deleted") { fs::remove(changed + "-wal"); }
  auto failed = rig.get(journal->append(submits(2, 1, 10)));
  REQUIRE(!failed);
  CHECK(failed.error().code == Errc::io);
  CHECK(failed.error().what.find("moved, deleted or replaced") != std::string::npos);
  CHECK(rig.get(journal->append(submits(3, 1, 10))).error().code == Errc::io);
}

TEST_CASE("after a failed fsync nothing is synced again, not even when the journal is closed") {
  SqliteRig rig;
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  REQUIRE(rig.get(journal->append(submits(1, 1, 10))));
  rig.break_disk();
  const int before = rig.syncs;
  CHECK(rig.get(journal->append(submits(2, 1, 10))).error().code == Errc::io);
  CHECK(rig.get(journal->append(submits(3, 1, 10))).error().code == Errc::io);
  journal.reset();
  CHECK(rig.syncs == before + 1);
}

TEST_CASE("an fsync that fails in the automatic checkpoint, which SQLite hides, stops the journal, too") {
  SqliteRig rig;
  bool failing = false;
  auto inject = [&](FileOperation operation, std::string_view path) {
    const bool database = !path.ends_with("-wal");
    return failing && operation == FileOperation::sync && database ? SQLITE_IOERR_FSYNC : SQLITE_OK;
  };
  auto journal = sqlite::open(rig.real_runtime, {rig.path(), inject});
  REQUIRE(journal);
  failing = true;  // only this thread's appends below run the hook
  std::uint64_t acknowledged = 0;
  Errc code{};
  for (std::uint64_t seed = 1; seed < 40; ++seed) {  // the log's 4 MB are reached after about 20
    auto entries = rig.get((*journal)->append(submits(seed, 1, 200'000)));
    if (entries) {
      acknowledged = entries->back().sequence.value;
      continue;
    }
    code = entries.error().code;
    break;
  }
  CHECK(code == Errc::io);
  CHECK(acknowledged > 10);
  journal->reset();
  std::vector<core::Entry> entries;
  static_cast<void>(open_and_replay(rig, entries));
  CHECK(entries.size() == acknowledged);
}

TEST_CASE("a damaged page is found by the check and stops a replay with the entry's number") {
  SqliteRig rig;
  fill(rig, 30);
  {
    std::fstream file(rig.path(), std::ios::binary | std::ios::in | std::ios::out);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const std::size_t at = bytes.find("17-1");  // a prompt_id within an entry's payload
    REQUIRE(at != std::string::npos);
    file.seekp(static_cast<std::streamoff>(at));
    file.put('X');
  }
  auto journal = rig.open();
  REQUIRE(journal);
  auto done = rig.get((*journal)->replay([](ReplayPage&) -> Result<void> { return {}; }));
  REQUIRE(!done);
  CHECK(done.error().code == Errc::io);
  CHECK(done.error().what.find("entry 50 of the journal: its checksum is wrong") != std::string::npos);
  const CheckReport report = check(*rig.reader());
  REQUIRE(!report.problems.empty());
  CHECK(report.problems[0].find("entry 50") != std::string::npos);
}

struct Damage {
  const char* change;
  const char* found;  // how the sentence about it begins
};

/// Ninety entries, of which the first sixty have a checkpoint.
std::unique_ptr<SqliteRig> rig_with_checkpoint() {
  auto rig = std::make_unique<SqliteRig>();
  fill(*rig, 30);
  core::WorkshopFacts facts;
  facts.last_sequence = {60};
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(*rig, entries);
  REQUIRE(rig->get(journal->checkpoint({60}, {facts, facts})));
  return rig;
}

/// The check names it, a replay ends there, and nothing is recorded any more.
void look_at_damage(SqliteRig& rig, const Damage& damage) {
  CAPTURE(damage.change);
  REQUIRE(check(*rig.reader()).problems.empty());
  shell(rig.path(), damage.change);
  const CheckReport report = check(*rig.reader());
  REQUIRE(report.problems.size() == 1);
  CHECK_MESSAGE(report.problems[0].starts_with(damage.found), report.problems[0]);
  auto journal = rig.open();
  REQUIRE(journal);
  auto done = rig.get((*journal)->replay([](ReplayPage&) -> Result<void> { return {}; }));
  if (std::string_view(damage.found) == "entry 50 ") {  // only who reads all entries meets it
    CHECK(done.has_value());
    return;
  }
  REQUIRE(!done);
  CHECK(done.error().code == Errc::io);
  CHECK_MESSAGE(done.error().what.starts_with(damage.found), done.error().what);
  CHECK(rig.get((*journal)->append(submits(7, 1, 10))).error().code == Errc::io);
  if (!std::string_view(damage.found).starts_with("the checkpoint")) return;
  ReplayCursor entries_alone;
  entries_alone.begun = true;
  CHECK(rig.get((*journal)->read(entries_alone)).value().entries.size() == 90);
}

TEST_CASE("a row that is not as it was written, whichever of its numbers it is, is damage with its number") {
  for (const Damage& damage : {
           Damage{"UPDATE entries SET time = time + 1 WHERE sequence = 50", "entry 50 "},
           Damage{"UPDATE entries SET time = time + 1 WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET wall = wall + 1 WHERE sequence = 90", "entry 90 "},
           Damage{"UPDATE entries SET kind = kind + 1 WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET gateway = gateway + 1 WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET ticket = ticket + 1 WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET crc = crc - (1 << 32) WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET payload = zeroblob(length(payload)) WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET sequence = sequence + 1 WHERE sequence = 90", "entry 90 "},
           Damage{"UPDATE checkpoints SET upto = 61", "the checkpoint "},
           Damage{"UPDATE checkpoints SET time = time + 1", "the checkpoint "},
           Damage{"UPDATE checkpoints SET wall = wall + 1", "the checkpoint "},
           Damage{"UPDATE checkpoints SET crc = crc + 1", "the checkpoint "},
           Damage{"UPDATE checkpoint_records SET row = 7 WHERE row = 1", "checkpoint record 1 "},
       }) {
    look_at_damage(*rig_with_checkpoint(), damage);
  }
}

TEST_CASE(
    "in rows of an older release, whose numbers have no checksum, what cannot be is damage all the same") {
  for (const Damage& damage : {
           Damage{"UPDATE entries SET time = time - 60000 WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET time = -1 WHERE sequence = 61", "entry 61 "},
           Damage{"UPDATE entries SET time = 1 << 60 WHERE sequence = 70", "entry 70 "},
           Damage{"UPDATE entries SET time = 1 << 60 WHERE sequence = 90", "entry 90 "},
           Damage{"UPDATE entries SET wall = -9223372036854775807 WHERE sequence = 90", "entry 90 "},
           Damage{"UPDATE entries SET sequence = 1 << 40 WHERE sequence = 90", "entry 90 "},
           Damage{"UPDATE checkpoints SET upto = 5", "the checkpoint "},
           Damage{"UPDATE checkpoints SET upto = 91", "the checkpoint "},
           Damage{"UPDATE checkpoints SET time = time + 1", "the checkpoint "},
       }) {
    const auto rig = rig_with_checkpoint();
    shell(rig->path(),
          "UPDATE entries SET time = 100000 + sequence / 3 * 3, crc = crc32(payload);"
          "UPDATE checkpoints SET time = 100060, crc = 0");
    look_at_damage(*rig, damage);
  }
}

NewEntry with_attachment(std::uint64_t number, std::string bytes) {
  core::Submitted submitted;
  submitted.participant = {1};
  submitted.prompt_id = fmt::format("packed-{}", number);
  submitted.prompt = {{77, number}, sha256(bytes), bytes.size()};
  NewEntry entry{submitted, {{1}, number}, {}};
  entry.attachments.push_back({submitted.prompt, std::make_shared<const std::string>(std::move(bytes))});
  return entry;
}

TEST_CASE("an attachment that shrinks lies packed, one that does not as it came, and both come back whole") {
  SqliteRig rig;
  std::string graph;
  for (int node = 0; node < 500; ++node) {
    graph += fmt::format(R"("{}":{{"class_type":"KSampler","inputs":{{"seed":{}}}}},)", node, node * 7919);
  }
  const std::vector<std::string> contents{"", "short", std::string(200, 'a'), graph, noise(5, 100'000)};
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  Batch batch;
  for (std::size_t i = 0; i < contents.size(); ++i) batch.push_back(with_attachment(i + 1, contents[i]));
  REQUIRE(rig.get(journal->append(std::move(batch))));
  for (std::size_t i = 0; i < contents.size(); ++i) {
    CAPTURE(i);
    const auto bytes = rig.get(journal->attachment({77, i + 1}));
    REQUIRE(bytes);
    CHECK((**bytes == contents[i]));
  }
  CHECK(check(*rig.reader()).problems.empty());
  CHECK(number_from(rig.path(), "SELECT count(*) FROM attachments WHERE unpacked > 0") == 1);
  CHECK(number_from(rig.path(), "SELECT length(bytes) * 3 < unpacked FROM attachments WHERE unpacked > 0") ==
        1);

  for (const char* damage : {"bytes = zeroblob(40)", "bytes = substr(bytes, 1, 50)", "bytes = x''",
                             "unpacked = unpacked + 1", "unpacked = 1 << 40", "unpacked = -1"}) {
    CAPTURE(damage);
    SqliteRig other;
    fs::copy_file(rig.path(), other.path());
    fs::copy_file(rig.path() + "-wal", other.path() + "-wal");
    shell(other.path(), fmt::format("UPDATE attachments SET {} WHERE unpacked > 0", damage));
    auto damaged = open_and_replay(other, entries);
    const auto bytes = other.get(damaged->attachment({77, 4}));
    REQUIRE(!bytes);
    CHECK(bytes.error().code == Errc::io);
    CHECK(check(*other.reader()).problems.size() == 1);
  }
}

TEST_CASE("a backup takes the journal's place only if all of it can be read, and as this release keeps it") {
  SqliteRig rig;
  fill(rig, 2);
  const std::string backup = rig.folder.file("backup.db");
  REQUIRE(back_up(rig.path(), backup));
  fill(rig, 2);
  struct Case {
    const char* change;
    const char* found;
  };
  for (const Case& damage : {
           Case{"UPDATE entries SET payload = zeroblob(9) WHERE sequence = 2", "entry 2 of the journal"},
           Case{"UPDATE entries SET time = 0 WHERE sequence = 6", "entry 6 of the journal"},
           Case{"DELETE FROM entries WHERE sequence = 3", "entry 3 of the journal: it is missing"},
           Case{"DELETE FROM attachments WHERE rowid = 4", "named by entry 4"},
           Case{"UPDATE attachments SET bytes = zeroblob(700) WHERE rowid = 5", "is not what entry 5 says"},
       }) {
    CAPTURE(damage.change);
    const std::string damaged = rig.folder.file("damaged.db");
    fs::copy_file(backup, damaged, fs::copy_options::overwrite_existing);
    shell(damaged, "UPDATE entries SET time = sequence * 10, crc = crc32(payload)");
    shell(damaged, damage.change);
    const auto done = restore(rig.path(), damaged);
    REQUIRE(!done);
    CHECK(done.error().code == Errc::config);
    CHECK_MESSAGE(done.error().what.find("damaged.db is damaged: ") != std::string::npos, done.error().what);
    CHECK_MESSAGE(done.error().what.find(damage.found) != std::string::npos, done.error().what);
    CHECK(!fs::exists(rig.path() + ".restore"));
    CHECK(check(*rig.reader()).last == Sequence{12});
  }
  for (int again = 0; again < 2; ++again) {
    REQUIRE(restore(rig.path(), backup));
    const CheckReport report = check(*rig.reader());
    CHECK(report.problems.empty());  // that it ends before what has been there is as it should be
    CHECK(report.last == Sequence{6});
  }
  fill(rig, 1);
  // One of an older release: its checkpoint is of random records, and of no entry.
  const std::string older = rig.folder.file("older.db");
  fs::copy_file(ATELIER_GOLDEN_FOLDER "/issue-1.db", older);
  shell(older, "DELETE FROM checkpoint_records; DELETE FROM checkpoints");
  const auto restored = restore(rig.path(), older);
  REQUIRE_MESSAGE(restored, restored.error().what);
  CHECK(check(*rig.reader()).problems.empty());
  CHECK(rig.open());
}

TEST_CASE("a dump beside a running server sees what is committed") {
  SqliteRig rig;
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  auto reader = rig.reader();
  const auto lines = [&] {
    int count = 0;
    REQUIRE(dump(*reader, {{}, false, true}, [&](std::string_view) -> Result<void> {
      ++count;
      return {};
    }));
    return count;
  };
  CHECK(lines() == 0);
  REQUIRE(rig.get(journal->append(submits(1, 3, 10))));
  CHECK(lines() == 6);
  const CheckReport report = check(*reader);
  CHECK(report.problems.empty());
  CHECK(report.attachments == 3);
}

TEST_CASE("a reader who keeps a page while commits go on does not keep the log from being reused") {
  SqliteRig rig;
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  ReplayCursor cursor;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    REQUIRE(rig.get(journal->append(submits(seed, 1, 400'000))));
    auto page = rig.get(journal->read(cursor));
    REQUIRE(page);
    cursor = page->next;
  }
  CHECK(fs::file_size(rig.path() + "-wal") < 12u << 20);
  CHECK(cursor.after == Sequence{60});
}

}  // namespace
}  // namespace atelier::journal::sqlite
