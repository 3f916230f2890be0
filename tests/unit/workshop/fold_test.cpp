// SPDX-License-Identifier: MIT
#include "workshop/fold.hpp"

#include <doctest/doctest.h>

#include "support/core_world.hpp"

namespace atelier::workshop {
namespace {

/// Thirty jobs of three participants, some of which ended, one runs, two prompt_ids used again.
std::vector<core::Entry> some_entries() {
  core::CoreWorld world;
  world.join("gpu-1", 1, 10);
  for (std::uint64_t n = 0; n < 30; ++n) {
    const JobId job = world.submit(1 + n % 3, n % 10 == 7 ? "again" : "");
    world.settle();
    const core::JobFacts* facts = world.core.job(job);
    if (facts == nullptr || !facts->lease || n % 4 == 3) continue;
    world.started(job);
    if (n % 5 == 4) continue;
    world.computed(job, 1'000 + n);
    world.ended(job, n % 2 == 0 ? core::Outcome::succeeded : core::Outcome::failed);
  }
  return std::move(world.entries);
}

journal::ReplayPage page_of(std::span<const core::Entry> entries) {
  journal::ReplayPage page;
  page.entries.assign(entries.begin(), entries.end());
  return page;
}

TEST_CASE("a fold of a checkpoint and what follows is the fold of all entries, wherever it was made") {
  const std::vector<core::Entry> entries = some_entries();
  const std::span<const core::Entry> all(entries);
  Fold whole;
  REQUIRE(whole.apply(page_of(all)));
  REQUIRE(whole.history.size() > 5);
  REQUIRE(whole.core.jobs_live() > 2);
  for (std::size_t cut = 1; cut <= entries.size(); ++cut) {
    CAPTURE(cut);
    Fold first;
    REQUIRE(first.apply(page_of(all.first(cut))));
    Fold second;
    journal::ReplayPage records;
    records.records = first.records();
    const std::size_t half = records.records.size() / 2;
    journal::ReplayPage rest;  // the records may come on several pages
    rest.records.assign(records.records.begin() + static_cast<std::ptrdiff_t>(half), records.records.end());
    records.records.resize(half);
    REQUIRE(second.apply(records));
    REQUIRE(second.apply(rest));
    REQUIRE(second.apply(page_of(all.subspan(cut))));
    REQUIRE(second.finish());
    CHECK(second.entries == entries.size() - cut);
    CHECK((second.records() == whole.records()));
    const Time now = entries.back().time;
    CHECK(second.core.decide(now).proposals == whole.core.decide(now).proposals);
  }
}

TEST_CASE("what cannot follow is an error, and the state is that of what stands before it") {
  const std::vector<core::Entry> entries = some_entries();
  Fold before;
  REQUIRE(before.apply(page_of(std::span(entries).first(10))));
  std::vector<core::Entry> damaged(entries.begin(), entries.end());
  std::string_view words;
  SUBCASE("time that goes back") {
    damaged[10].time = damaged[9].time - milliseconds{1};
    words = "its time is before";
  }
  SUBCASE("an entry that is missing") {
    damaged.erase(damaged.begin() + 10);
    words = "follows entry";
  }
  SUBCASE("an entry that comes twice") {
    damaged[10] = damaged[9];
    words = "follows entry";
  }
  Fold fold;
  const auto done = fold.apply(page_of(damaged));
  REQUIRE(!done);
  CHECK(done.error().code == Errc::io);
  CHECK(done.error().what.find(words) != std::string::npos);
  CHECK((fold.records() == before.records()));
}

TEST_CASE("a checkpoint that is not of the entry that it names is an error before anything follows it") {
  const std::vector<core::Entry> entries = some_entries();
  Fold whole;
  REQUIRE(whole.apply(page_of(std::span(entries).first(20))));
  for (const std::size_t said : {19u, 20u, 21u}) {
    CAPTURE(said);
    journal::ReplayPage records;
    records.records = whole.records();
    records.next.after = entries[said - 1].sequence;
    Fold fold;
    REQUIRE(fold.apply(records));
    const auto done = fold.apply(page_of(std::span(entries).subspan(said)));
    CHECK(done.has_value() == (said == 20));
    if (!done) CHECK(done.error().code == Errc::io);
    CHECK(fold.finish().has_value() == (said == 20));
  }
}

}  // namespace
}  // namespace atelier::workshop
