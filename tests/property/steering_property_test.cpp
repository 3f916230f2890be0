// SPDX-License-Identifier: MIT
// The instructor's list against random commands, grants and ends.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <set>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

std::vector<JobId> some_jobs(const CoreWorld& world) {
  std::vector<JobId> jobs;
  world.core.each_job([&](const JobFacts& job) {
    if (*rc::gen::inRange(0, 3) == 0) jobs.push_back(job.job);
  });
  return jobs;
}

JobId any_job(const CoreWorld& world) {
  std::vector<JobId> jobs;
  world.core.each_job([&](const JobFacts& job) { jobs.push_back(job.job); });
  return jobs.empty() ? JobId{999} : *rc::gen::elementOf(jobs);
}

void random_step(CoreWorld& world) {
  const JobId job = any_job(world);
  switch (*rc::gen::inRange(0, 10)) {
    case 0:
    case 1:
    case 2:
      world.submit(*rc::gen::inRange<std::uint64_t>(0, 4));
      break;
    case 3:
    case 4:
    case 5: {
      Moved event;
      event.job = job;
      event.place = *rc::gen::element(MovePlace::first, MovePlace::last, MovePlace::before, MovePlace::after);
      event.anchor = any_job(world);
      event.ahead = some_jobs(world);
      world.post(event);
      break;
    }
    case 6:
      world.post(MoveUndone{.job = job, .by = "test"});
      break;
    case 7:
      world.post(CancelRequested{.job = job, .by = "test"});
      world.settle();
      break;
    case 8:
      world.post(EveryoneHeld{.held = *rc::gen::arbitrary<bool>(), .by = "test"});
      world.settle();
      break;
    default: {
      const JobFacts* facts = world.core.job(job);
      if (facts == nullptr || !facts->lease) break;
      if (*rc::gen::arbitrary<bool>()) {
        world.post(world.with<Returned>(job));
        if (const JobFacts* back = world.core.job(job); back != nullptr)
          world.post(SlotIdle{.slot = SlotId{WorkerId{1}, 0}, .link = world.core.worker("gpu")->link});
      } else {
        world.computed(job);
        world.ended(job);
      }
      world.settle();
    }
  }
}

void check_list(const Core& core) {
  const std::vector<JobId>& moved = core.workshop().moved;
  const std::vector<JobId>& along = core.workshop().moved_along;
  const std::set<JobId> in_list(moved.begin(), moved.end());
  RC_ASSERT(in_list.size() == moved.size());
  RC_ASSERT((std::set<JobId>(along.begin(), along.end()).size() == along.size()));
  for (const JobId job : moved) {
    RC_ASSERT(core.job(job) != nullptr);
    RC_ASSERT(!core.job(job)->lease);
  }
  for (const JobId job : along) RC_ASSERT(in_list.contains(job));
  // Who came along stands before one that was moved.
  if (!moved.empty()) RC_ASSERT(std::ranges::find(along, moved.back()) == along.end());
}

TEST_CASE("the instructor's list holds waiting jobs, each once, and ends with one that was moved") {
  CHECK(rc::check([] {
    CoreWorld world;
    world.join("gpu");
    for (int step = *rc::gen::inRange(1, 80); step > 0; --step) {
      random_step(world);
      check_list(world.core);
    }
    Core restored;
    for (const CheckpointRecord& record : world.core.export_facts()) restored.import_fact(record);
    restored.finish_import();
    RC_ASSERT(restored.workshop() == world.core.workshop());
  }));
}

}  // namespace
}  // namespace atelier::core
