// SPDX-License-Identifier: MIT
// kill -9 at named points and at any moment: what was acknowledged is there, and nothing is there by half
// (reliability.md B1 1, 2).
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "journal/dump.hpp"
#include "lives.hpp"
#include "sqlite_rig.hpp"

extern char** environ;

namespace atelier::journal {

namespace {
constexpr std::size_t kBatch = 3;

std::vector<core::CheckpointRecord> checkpoint_of(Sequence sequence) {
  core::WorkshopFacts facts;
  facts.last_sequence = sequence;
  std::vector<core::CheckpointRecord> records(1'200, facts);
  return records;
}

awaitable<int> append_for_ever(Journal& journal) {
  for (std::uint64_t seed = 1;; ++seed) {
    auto entries = co_await journal.append(submits(journal.last().value + seed * 1'000'000, kBatch, 900));
    if (!entries) co_return 1;
    const std::uint64_t last = entries->back().sequence.value;
    if (::write(STDOUT_FILENO, &last, sizeof last) != sizeof last) co_return 1;
    if (seed % 4 != 0) continue;
    auto written = co_await journal.checkpoint(journal.last(), checkpoint_of(journal.last()));
    if (!written) co_return 1;
  }
}
}  // namespace

int append_until_killed(const std::string& path) {
  RealRuntime runtime;
  auto journal = sqlite::open(runtime, {path, {}});
  if (!journal) return 2;
  auto replay_and_append = [&]() -> awaitable<int> {
    auto ignore = [](ReplayPage&) -> Result<void> { return {}; };
    auto replayed = co_await (*journal)->replay(ignore);
    if (!replayed) co_return 3;
    co_return co_await append_for_ever(**journal);
  };
  int status = 0;
  asio::co_spawn(runtime.executor(), replay_and_append(),
                 [&](std::exception_ptr, int code) { status = code; });
  runtime.run();
  return status;
}

namespace sqlite {
namespace {

/// Runs the child until it dies by itself or has acknowledged `acks_max` batches; gives the last sequence
/// acknowledged.
std::uint64_t run_child(const std::string& path, const std::string& crash_at, int acks_max) {
  std::array<int, 2> pipe_ends{};
  REQUIRE(pipe2(pipe_ends.data(), O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  std::string program = "/proc/self/exe", argument = "--append-until-killed", target = path;
  std::array<char*, 4> arguments{program.data(), argument.data(), target.data(), nullptr};
  setenv("ATELIER_CRASH_AT", crash_at.c_str(), 1);
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ) == 0);
  unsetenv("ATELIER_CRASH_AT");
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_ends[1]);
  std::uint64_t acknowledged = 0, next = 0;
  for (int acks = 0; read(pipe_ends[0], &next, sizeof next) == sizeof next;) {
    acknowledged = next;
    if (++acks == acks_max) kill(child, SIGKILL);
  }
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (crash_at.empty()) {
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  } else {
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 137));
  }
  return acknowledged;
}

/// Opens what the child left and gives the number of entries; whole batches, all attachments, a whole
/// checkpoint.
std::uint64_t look(SqliteRig& rig) {
  auto journal = rig.open();
  REQUIRE_MESSAGE(journal, journal.error().what);
  std::size_t records = 0;
  auto count = [&](ReplayPage& page) -> Result<void> {
    for (const auto& record : page.records) {
      CHECK(std::get<core::WorkshopFacts>(record).last_sequence.value % kBatch == 0);
    }
    records += page.records.size();
    return {};
  };
  REQUIRE(rig.get((*journal)->replay(count)));
  CHECK((records == 0 || records == 1'200));
  const std::uint64_t entries = (*journal)->last().value;
  CHECK(entries % kBatch == 0);
  const CheckReport report = check(*rig.reader());
  CHECK(report.entries == entries);
  CHECK(report.attachments == entries);
  CHECK_MESSAGE(report.problems.empty(), report.problems[0]);
  return entries;
}

TEST_CASE("a kill at a named point loses nothing that was acknowledged") {
  struct Case {
    const char* point;
    std::uint64_t unacknowledged;  // batches stored beyond the last acknowledged one
  };
  for (const Case& point :
       {Case{"journal_before_write", 0}, Case{"journal_before_commit", 0}, Case{"journal_after_commit", 1},
        Case{"journal_checkpoint_slice", 0}, Case{"journal_before_checkpoint_flip", 0},
        Case{"journal_after_checkpoint_flip", 0}}) {
    SqliteRig rig;
    std::uint64_t before = 0;
    for (int passing : {1, 2, 5}) {  // each on what the one before left
      CAPTURE(point.point);
      CAPTURE(passing);
      const std::uint64_t acknowledged =
          run_child(rig.path(), fmt::format("{}:{}", point.point, passing), -1);
      const std::uint64_t expected = std::max(acknowledged, before) + point.unacknowledged * kBatch;
      before = look(rig);
      CHECK(before == expected);
    }
  }
}

TEST_CASE("a kill at any moment loses nothing that was acknowledged") {
  SqliteRig rig;
  std::uint64_t before = 0;
  for (int acks = 1; acks < 25; acks += 2) {
    const std::uint64_t acknowledged = run_child(rig.path(), "", acks);
    CHECK(acknowledged >= before + kBatch);
    before = look(rig);
    CHECK(before >= acknowledged);
  }
}

TEST_CASE("a kill while an older journal is brought up to date leaves it, or the new one, and a copy of it") {
  namespace fs = std::filesystem;
  const std::string golden = ATELIER_GOLDEN_FOLDER "/issue-1.db";
  const auto entries_of = [](const std::string& path) {
    auto reader = open_reader(path);
    return reader ? check(**reader).entries : 0;
  };
  for (const char* point :
       {"journal_before_copy_is_named:1", "journal_before_file_write:1", "journal_before_file_write:3",
        "journal_before_sync:1", "journal_before_sync:2", "journal_after_migration:1"}) {
    CAPTURE(point);
    SqliteRig rig;
    fs::copy_file(golden, rig.path());
    CHECK(run_child(rig.path(), point, -1) == 0);
    {
      auto journal = rig.open();
      REQUIRE_MESSAGE(journal, journal.error().what);
    }
    const std::uint64_t entries = entries_of(rig.path());
    CHECK(entries > 10);
    // The copy is one that the older release would open: its schema, and the same entries.
    const std::string copy = rig.path() + ".schema-1";
    REQUIRE(fs::exists(copy));
    CHECK(!fs::exists(copy + ".part"));
    CHECK(open_reader(copy).error().code == Errc::config);  // "an old schema"
    fs::remove(rig.path());
    fs::copy_file(copy, rig.path());
    fs::remove(copy);
    REQUIRE(rig.open());
    CHECK(entries_of(rig.path()) == entries);
  }
}

TEST_CASE("a kill while the schema is made leaves a journal that opens") {
  SqliteRig rig;
  CHECK(run_child(rig.path(), "journal_after_migration:1", -1) == 0);
  CHECK(look(rig) == 0);
}

}  // namespace
}  // namespace sqlite
}  // namespace atelier::journal
