// SPDX-License-Identifier: MIT
#include "suite.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <random>

#include "journal/dump.hpp"
#include "random_records.hpp"
#include "runtime/task_group.hpp"

using namespace std::chrono_literals;

namespace atelier::journal {

std::string noise(std::uint64_t seed, std::size_t bytes) {
  std::mt19937_64 random(seed);
  std::string out(bytes, ' ');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

Batch submits(std::uint64_t seed, std::size_t count, std::size_t bytes) {
  Batch batch;
  for (std::size_t i = 0; i < count; ++i) {
    core::Submitted submitted;
    submitted.participant = {1 + i % 20};
    submitted.prompt_id = fmt::format("{}-{}", seed, i);
    NewEntry entry{submitted, {{1}, seed * 1'000'000 + i}, {}};
    if (bytes > 0) {
      auto content = std::make_shared<const std::string>(noise(seed * 1'000 + i, bytes));
      const core::Attachment ref{{seed + 1, i + 1}, sha256(*content), bytes};
      std::get<core::Submitted>(entry.event).prompt = ref;
      entry.attachments.push_back({ref, std::move(content)});
    }
    batch.push_back(std::move(entry));
  }
  return batch;
}

bool same(const core::Entry& a, const core::Entry& b) {
  return a.sequence == b.sequence && a.time == b.time && a.wall == b.wall && a.origin == b.origin &&
         a.event == b.event;
}

std::unique_ptr<Journal> open_and_replay(Rig& rig, std::vector<core::Entry>& entries) {
  auto journal = rig.open();
  REQUIRE_MESSAGE(journal, journal.error().what);
  auto collect = [&](ReplayPage& page) -> Result<void> {
    for (core::Entry& entry : page.entries) entries.push_back(std::move(entry));
    return {};
  };
  auto replayed = rig.get((*journal)->replay(collect));
  REQUIRE_MESSAGE(replayed, replayed.error().what);
  return std::move(*journal);
}

TwoJournals open_two_that_see_each_other(Rig& rig) {
  std::vector<core::Entry> entries;
  auto one = open_and_replay(rig, entries);
  auto two = open_and_replay(rig, entries);
  REQUIRE(rig.get(one->append(submits(1, 2, 0))));
  auto both = rig.get(two->append(submits(2, 1, 300)));
  REQUIRE(both);
  REQUIRE(both->size() == 3);
  CHECK((*both)[0].sequence == Sequence{1});
  CHECK(std::get<core::Submitted>((*both)[2].event).prompt_id == "2-0");
  CHECK(rig.get(one->wait()));
  auto others = rig.get(one->append({}));
  REQUIRE(others);
  REQUIRE(others->size() == 1);
  CHECK(same((*others)[0], (*both)[2]));
  return {std::move(one), std::move(two)};
}

namespace {

std::unique_ptr<Journal> open_empty(Rig& rig) {
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  CHECK(entries.empty());
  return journal;
}

void check_consecutive(const std::vector<core::Entry>& entries) {
  for (std::size_t i = 1; i < entries.size(); ++i) {
    REQUIRE(entries[i].sequence.value == entries[i - 1].sequence.value + 1);
    REQUIRE(entries[i].time >= entries[i - 1].time);
  }
}

Errc code_of(const auto& result) {
  REQUIRE(!result);
  return result.error().code;
}

void appends(Rig& rig) {
  auto journal = open_empty(rig);
  SUBCASE("a fresh journal is empty and its clock runs") {
    CHECK(journal->last() == Sequence{0});
    CHECK(journal->healthy());
    const Time before = journal->time();
    rig.get(rig.runtime().sleep_for(3ms));
    CHECK(journal->time() > before);
  }
  SUBCASE("what was appended comes back in order, now and after a restart") {
    Batch batch = submits(1, 3, 500);
    const Batch kept = batch;
    const Time before = journal->time();
    auto entries = rig.get(journal->append(std::move(batch)));
    REQUIRE(entries);
    REQUIRE(entries->size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
      const core::Entry& entry = (*entries)[i];
      CHECK(entry.sequence.value == i + 1);
      CHECK(entry.event == kept[i].event);
      CHECK(entry.origin == kept[i].origin);
      CHECK(entry.time >= before);
      CHECK(entry.time <= journal->time());
      CHECK(entry.wall <= rig.runtime().wall());
    }
    CHECK(journal->last() == Sequence{3});
    auto more = rig.get(journal->append(submits(2, 1, 0)));
    REQUIRE(more);
    REQUIRE(more->size() == 1);
    CHECK((*more)[0].sequence == Sequence{4});
    CHECK((*more)[0].time >= (*entries)[2].time);
    entries->push_back((*more)[0]);

    const Time last_time = journal->time();
    journal.reset();
    std::vector<core::Entry> replayed;
    journal = open_and_replay(rig, replayed);
    CHECK(std::ranges::equal(replayed, *entries, same));
    CHECK(journal->last() == Sequence{4});
    CHECK(journal->time() >= replayed.back().time);
    CHECK(journal->time() + 1s >= last_time);  // the gap counts as the wall clock's difference
    for (const NewEntry& entry : kept) {
      auto bytes = rig.get(journal->attachment(entry.attachments[0].ref.id));
      REQUIRE(bytes);
      CHECK(**bytes == *entry.attachments[0].bytes);
    }
    CHECK(rig.get(journal->append(submits(3, 1, 0)))->front().sequence == Sequence{5});
  }
  SUBCASE("an empty batch gives nothing") {
    auto entries = rig.get(journal->append({}));
    REQUIRE(entries);
    CHECK(entries->empty());
    CHECK(journal->last() == Sequence{0});
  }
  SUBCASE("every kind of event goes through") {
    RandomRecords random(7);
    Batch batch;
    for (std::size_t i = 0; i < std::variant_size_v<core::Event>; ++i) {
      batch.push_back({random.alternative<core::Event>(i), {}, {}});
    }
    const Batch kept = batch;
    REQUIRE(rig.get(journal->append(std::move(batch))));
    journal.reset();
    std::vector<core::Entry> replayed;
    journal = open_and_replay(rig, replayed);
    REQUIRE(replayed.size() == kept.size());
    for (std::size_t i = 0; i < kept.size(); ++i) CHECK(replayed[i].event == kept[i].event);
  }
  SUBCASE("several appends at once are carried out one after the other, each with its own entries") {
    std::vector<core::Entry> all;
    int left = 20;
    bool done = false;
    TaskGroup group(rig.runtime());
    auto one = [&](std::uint64_t seed) -> awaitable<void> {
      auto entries = co_await journal->append(submits(seed, 1 + seed % 3, 10));
      CHECK(entries);
      if (entries) {
        CHECK(entries->size() == 1 + seed % 3);
        for (core::Entry& entry : *entries) {
          CHECK(std::get<core::Submitted>(entry.event).prompt_id.starts_with(fmt::format("{}-", seed)));
          all.push_back(std::move(entry));
        }
      }
      done = --left == 0;
    };
    for (std::uint64_t seed = 1; seed <= 20; ++seed) group.spawn("append", one(seed));
    rig.run_until(done);
    check_consecutive(all);
    CHECK(all.front().sequence == Sequence{1});
  }
  SUBCASE("waiting for others ends when it is cancelled") {
    bool done = false;
    auto work = [&]() -> awaitable<void> {
      TaskGroup waiters(rig.runtime());
      auto wait = [&]() -> awaitable<void> { CHECK(!co_await journal->wait()); };
      waiters.spawn("wait", wait());
      co_await rig.runtime().sleep_for(5ms);
      CHECK(waiters.size() == 1);
      CHECK(co_await waiters.stop(rig.runtime().now() + 5s));
      done = true;
    };
    TaskGroup group(rig.runtime());
    group.spawn("work", work());
    rig.run_until(done);
  }
}

void pages(Rig& rig) {
  auto journal = open_empty(rig);
  REQUIRE(rig.get(journal->append(submits(1, 2'500, 0))));
  std::vector<core::Entry> entries;
  SUBCASE("a replay comes in pages of at most 1,000") {
    journal.reset();
    auto reopened = rig.open();
    REQUIRE(reopened);
    std::vector<std::size_t> sizes;
    auto collect = [&](ReplayPage& page) -> Result<void> {
      sizes.push_back(page.entries.size());
      for (core::Entry& entry : page.entries) entries.push_back(std::move(entry));
      return {};
    };
    REQUIRE(rig.get((*reopened)->replay(collect)));
    CHECK(sizes == std::vector<std::size_t>{1'000, 1'000, 500});
    CHECK(entries.front().sequence == Sequence{1});
    check_consecutive(entries);
  }
  SUBCASE("a reading can begin after any entry") {
    ReplayCursor cursor;
    cursor.after = {2'490};
    auto page = rig.get(journal->read(cursor));
    REQUIRE(page);
    CHECK(page->entries.size() == 10);
    CHECK(page->entries.front().sequence == Sequence{2'491});
    CHECK(page->end);
  }
  SUBCASE("what a page's reader refuses ends the replay with its error") {
    auto refuse = [](ReplayPage&) -> Result<void> { return fail(Errc::not_found, "enough"); };
    CHECK(code_of(rig.get(journal->replay(refuse))) == Errc::not_found);
  }
}

void attachments(Rig& rig) {
  auto journal = open_empty(rig);
  SUBCASE("empty and large attachments are stored; an unknown one is not found") {
    Batch batch;
    for (std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{4'096}, std::size_t{300'000}, std::size_t{8} << 20}) {
      auto content = std::make_shared<const std::string>(size, 'x');
      core::Submitted submitted;
      submitted.prompt = {{9, size + 1}, sha256(*content), size};
      batch.push_back({submitted, {}, {{submitted.prompt, content}}});
    }
    const Batch kept = batch;
    REQUIRE(rig.get(journal->append(std::move(batch))));
    for (const NewEntry& entry : kept) {
      auto bytes = rig.get(journal->attachment(entry.attachments[0].ref.id));
      REQUIRE(bytes);
      CHECK((*bytes)->size() == entry.attachments[0].ref.bytes);
      CHECK(sha256(**bytes) == entry.attachments[0].ref.digest);
    }
    CHECK(code_of(rig.get(journal->attachment({9, 77}))) == Errc::not_found);
  }
  SUBCASE("an id that is stored already refuses the whole batch") {
    REQUIRE(rig.get(journal->append(submits(1, 2, 10))));
    Batch again = submits(2, 2, 10);
    again.push_back(submits(1, 1, 10)[0]);
    CHECK(code_of(rig.get(journal->append(std::move(again)))) == Errc::conflict);
    CHECK(code_of(rig.get(journal->attachment({3, 1}))) == Errc::not_found);
    CHECK(journal->healthy());
    CHECK(rig.get(journal->append(submits(4, 1, 10)))->front().sequence == Sequence{3});
  }
  SUBCASE("bytes that are not what was promised are our own mistake") {
    Batch batch = submits(1, 1, 10);
    batch[0].attachments[0].ref.bytes = 11;
    CHECK(code_of(rig.get(journal->append(std::move(batch)))) == Errc::internal);
    batch = submits(1, 1, 10);
    batch[0].attachments[0].bytes.reset();
    CHECK(code_of(rig.get(journal->append(std::move(batch)))) == Errc::internal);
    CHECK(rig.get(journal->append(submits(1, 1, 10)))->front().sequence == Sequence{1});
  }
}

std::vector<core::CheckpointRecord> some_records(std::uint64_t seed, std::size_t count) {
  RandomRecords random(seed);
  std::vector<core::CheckpointRecord> records;
  for (std::size_t i = 0; i < count; ++i) {
    records.push_back(
        random.alternative<core::CheckpointRecord>(i % std::variant_size_v<core::CheckpointRecord>));
  }
  return records;
}

struct Replayed {
  std::vector<core::CheckpointRecord> records;
  std::vector<core::Entry> entries;
  Sequence last;
};

Replayed reopen(Rig& rig) {
  auto journal = rig.open();
  REQUIRE_MESSAGE(journal, journal.error().what);
  Replayed out;
  auto collect = [&](ReplayPage& page) -> Result<void> {
    CHECK((page.records.empty() || out.entries.empty()));
    CHECK(page.records.size() <= kPageRows);
    for (auto& record : page.records) out.records.push_back(std::move(record));
    for (auto& entry : page.entries) out.entries.push_back(std::move(entry));
    return {};
  };
  auto done = rig.get((*journal)->replay(collect));
  REQUIRE_MESSAGE(done, done.error().what);
  out.last = (*journal)->last();
  return out;
}

void checkpoints(Rig& rig) {
  auto journal = open_empty(rig);
  REQUIRE(rig.get(journal->append(submits(1, 10, 10))));
  const auto first = some_records(1, 2'203);
  SUBCASE("a replay begins with the newest checkpoint and goes on with the entries after it") {
    REQUIRE(rig.get(journal->checkpoint({7}, first)));
    REQUIRE(rig.get(journal->append(submits(2, 2, 10))));
    journal.reset();
    Replayed replayed = reopen(rig);
    CHECK(replayed.records == first);
    REQUIRE(replayed.entries.size() == 5);
    CHECK(replayed.entries.front().sequence == Sequence{8});
    CHECK(replayed.last == Sequence{12});

    std::vector<core::Entry> ignored;
    journal = open_and_replay(rig, ignored);
    const auto second = some_records(2, 20);
    REQUIRE(rig.get(journal->checkpoint({12}, second)));
    const auto third = some_records(3, 501);
    REQUIRE(rig.get(journal->checkpoint({12}, third)));
    journal.reset();
    replayed = reopen(rig);
    CHECK(replayed.records == third);
    CHECK(replayed.entries.empty());
    CHECK(replayed.last == Sequence{12});
    // The entries are kept, and a reading may begin before the checkpoint.
    CHECK(check(*rig.reader()).entries == 12);
  }
  SUBCASE("an empty checkpoint is one") {
    REQUIRE(rig.get(journal->checkpoint({10}, {})));
    journal.reset();
    CHECK(reopen(rig).entries.empty());
  }
  SUBCASE("commits go in between the slices of a checkpoint") {
    bool checkpoint_done = false, done = false;
    int commits_meanwhile = 0;
    TaskGroup group(rig.runtime());
    auto write = [&]() -> awaitable<void> {
      CHECK(co_await journal->checkpoint({10}, first));
      checkpoint_done = true;
    };
    auto append = [&]() -> awaitable<void> {
      std::uint64_t seed = 1;
      while (!checkpoint_done) {
        CHECK(co_await journal->append(submits(++seed, 1, 10)));
        if (!checkpoint_done) ++commits_meanwhile;
      }
      done = true;
    };
    group.spawn("checkpoint", write());
    group.spawn("append", append());
    rig.run_until(done);
    CHECK(commits_meanwhile >= 4);  // five slices and the flip
    const Sequence last = journal->last();
    journal.reset();
    Replayed replayed = reopen(rig);
    CHECK(replayed.records == first);
    CHECK(replayed.entries.size() == last.value - 10);
  }
  SUBCASE("a checkpoint of an entry that is not there, or two at once, are refused") {
    CHECK(code_of(rig.get(journal->checkpoint({11}, first))) == Errc::not_found);
    CHECK(code_of(rig.get(journal->checkpoint({0}, first))) == Errc::not_found);
    bool done = false;
    int conflicts = 0, ended = 0;
    TaskGroup group(rig.runtime());
    auto write = [&]() -> awaitable<void> {
      auto result = co_await journal->checkpoint({10}, first);
      if (!result && result.error().code == Errc::conflict) ++conflicts;
      done = ++ended == 2;
    };
    group.spawn("one", write());
    group.spawn("two", write());
    rig.run_until(done);
    CHECK(conflicts == 1);
    CHECK(rig.get(journal->checkpoint({9}, first)));
  }
  SUBCASE("a full disk leaves the old checkpoint valid, and the next one works") {
    REQUIRE(rig.get(journal->checkpoint({5}, some_records(4, 30))));
    rig.set_full(true);
    CHECK(code_of(rig.get(journal->checkpoint({10}, first))) == Errc::disk_full);
    CHECK(journal->healthy());
    rig.set_full(false);
    journal.reset();
    CHECK(reopen(rig).records == some_records(4, 30));
    std::vector<core::Entry> ignored;
    journal = open_and_replay(rig, ignored);
    REQUIRE(rig.get(journal->checkpoint({10}, first)));
    journal.reset();
    CHECK(reopen(rig).records == first);
  }
}

void failures(Rig& rig) {
  auto journal = open_empty(rig);
  REQUIRE(rig.get(journal->append(submits(1, 3, 100))));
  SUBCASE("a full disk refuses the batch and stores nothing of it; later appends succeed without a gap") {
    rig.set_full(true);
    for (std::uint64_t seed = 2; seed < 5; ++seed) {
      CHECK(code_of(rig.get(journal->append(submits(seed, 3, 100'000)))) == Errc::disk_full);
      CHECK(journal->healthy());
    }
    rig.set_full(false);
    auto entries = rig.get(journal->append(submits(2, 3, 100'000)));
    REQUIRE(entries);
    CHECK(entries->front().sequence == Sequence{4});
    journal.reset();
    CHECK(reopen(rig).entries.size() == 6);
    CHECK(check(*rig.reader()).problems.empty());
  }
  SUBCASE(
      "a broken disk fails the append and every one after it; a new process finds what was acknowledged") {
    rig.break_disk();
    auto failed = rig.get(journal->append(submits(2, 3, 100)));
    CHECK(code_of(failed) == Errc::io);
    CHECK(!journal->healthy());
    CHECK(code_of(rig.get(journal->append(submits(3, 1, 0)))) == Errc::io);
    CHECK(code_of(rig.get(journal->checkpoint({3}, {}))) == Errc::io);
    journal.reset();
    const Replayed replayed = reopen(rig);
    CHECK((replayed.entries.size() == 3 || replayed.entries.size() == 6));  // whole or not at all
    CHECK(check(*rig.reader()).problems.empty());
  }
  SUBCASE("appends that wait behind a failing one fail, too") {
    rig.break_disk();
    int left = 5, failed = 0;
    bool done = false;
    TaskGroup group(rig.runtime());
    auto one = [&](std::uint64_t seed) -> awaitable<void> {
      auto entries = co_await journal->append(submits(seed, 1, 10));
      if (!entries && entries.error().code == Errc::io) ++failed;
      done = --left == 0;
    };
    for (std::uint64_t seed = 2; seed < 7; ++seed) group.spawn("append", one(seed));
    rig.run_until(done);
    CHECK(failed == 5);
  }
}

}  // namespace

void journal_suite(const MakeRig& make) {
  const auto rig = make();
  SUBCASE("appends") { appends(*rig); }
  SUBCASE("pages") { pages(*rig); }
  SUBCASE("attachments") { attachments(*rig); }
  SUBCASE("checkpoints") { checkpoints(*rig); }
  SUBCASE("failures") { failures(*rig); }
}

}  // namespace atelier::journal
