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
  whole.apply(page_of(all));
  REQUIRE(whole.history.size() > 5);
  REQUIRE(whole.core.jobs_live() > 2);
  for (std::size_t cut = 1; cut <= entries.size(); ++cut) {
    CAPTURE(cut);
    Fold first;
    first.apply(page_of(all.first(cut)));
    Fold second;
    journal::ReplayPage records;
    records.records = first.records();
    const std::size_t half = records.records.size() / 2;
    journal::ReplayPage rest;  // the records may come on several pages
    rest.records.assign(records.records.begin() + static_cast<std::ptrdiff_t>(half), records.records.end());
    records.records.resize(half);
    second.apply(records);
    second.apply(rest);
    second.apply(page_of(all.subspan(cut)));
    second.finish();
    CHECK(second.entries == entries.size() - cut);
    CHECK((second.records() == whole.records()));
    const Time now = entries.back().time;
    CHECK(second.core.decide(now).proposals == whole.core.decide(now).proposals);
  }
}

}  // namespace
}  // namespace atelier::workshop
