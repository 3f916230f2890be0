// SPDX-License-Identifier: MIT
// What the instructor does to the queue: moves, holds, caps, and participants who put their own in order.
#include <doctest/doctest.h>

#include <cmath>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

using Jobs = std::vector<JobId>;

Moved move_of(JobId job, MovePlace place, JobId anchor = {}, Jobs ahead = {}) {
  return Moved{.job = job, .place = place, .anchor = anchor, .by = "instructor", .ahead = std::move(ahead)};
}

const Refused* refused(const std::vector<Effect>& effects) { return CoreWorld::find<Refused>(effects); }

TEST_CASE("a move to a place of the computed order takes along what stands before it") {
  CoreWorld world;
  Jobs jobs;
  for (std::uint64_t owner = 1; owner <= 5; ++owner) jobs.push_back(world.submit(owner));
  // The fifth before the third: first and second stand before it and must go on doing so in every mode.
  world.post(move_of(jobs[4], MovePlace::last, {}, {jobs[0], jobs[1]}));
  CHECK(world.core.workshop().moved == Jobs{jobs[0], jobs[1], jobs[4]});
  CHECK(world.core.workshop().moved_along == Jobs{jobs[0], jobs[1]});
  world.post(ModeChanged{QueueMode::round_robin, "instructor"});
  world.join("gpu", 1, 3);
  world.settle();
  CHECK(world.core.job(jobs[4])->state == JobState::leased);
  CHECK(world.core.job(jobs[2])->state == JobState::queued);
  CHECK(world.core.workshop().moved.empty());
}

TEST_CASE("what came along leaves the list when nothing that was moved stands behind it any more") {
  CoreWorld world;
  Jobs jobs;
  for (std::uint64_t owner = 1; owner <= 4; ++owner) jobs.push_back(world.submit(owner));
  SUBCASE("by undoing the move") {
    world.post(move_of(jobs[3], MovePlace::last, {}, {jobs[0], jobs[1]}));
    world.post(MoveUndone{.job = jobs[3], .by = "instructor"});
  }
  SUBCASE("by another move") {
    world.post(move_of(jobs[3], MovePlace::last, {}, {jobs[0], jobs[1]}));
    world.post(move_of(jobs[3], MovePlace::first));
    CHECK(world.core.workshop().moved == Jobs{jobs[3]});
    world.post(MoveUndone{.job = jobs[3], .by = "instructor"});
  }
  SUBCASE("by the end of the moved job") {
    world.post(move_of(jobs[3], MovePlace::last, {}, {jobs[0], jobs[1]}));
    world.post(CancelRequested{.job = jobs[3], .by = "participant"});
    world.settle();
  }
  CHECK(world.core.workshop().moved.empty());
  CHECK(world.core.workshop().moved_along.empty());
}

TEST_CASE("a job that came along and is moved itself stays when the other leaves") {
  CoreWorld world;
  Jobs jobs;
  for (std::uint64_t owner = 1; owner <= 4; ++owner) jobs.push_back(world.submit(owner));
  world.post(move_of(jobs[3], MovePlace::last, {}, {jobs[0], jobs[1]}));
  world.post(move_of(jobs[1], MovePlace::first));
  world.post(MoveUndone{.job = jobs[3], .by = "instructor"});
  CHECK(world.core.workshop().moved == Jobs{jobs[1]});
}

TEST_CASE("a move that fits nowhere changes nothing, not even for those that would have come along") {
  CoreWorld world(Limits{.moved_max = 3});
  Jobs jobs;
  for (std::uint64_t owner = 1; owner <= 5; ++owner) jobs.push_back(world.submit(owner));
  CHECK(refused(world.post(move_of(jobs[3], MovePlace::before, jobs[4], {jobs[0]})))->reason ==
        NoEffect::unknown_job);
  CHECK(refused(world.post(move_of(jobs[3], MovePlace::before, jobs[3])))->reason == NoEffect::bad_value);
  CHECK(refused(world.post(move_of(jobs[4], MovePlace::last, {}, {jobs[0], jobs[1], jobs[2]})))->reason ==
        NoEffect::container_full);
  CHECK(refused(world.post(move_of(JobId{99}, MovePlace::first)))->reason == NoEffect::unknown_job);
  CHECK(world.core.workshop().moved.empty());
  CHECK(world.core.workshop().moved_along.empty());
}

TEST_CASE("while everyone is held nobody's jobs start, whoever comes, and the instructor's do") {
  CoreWorld world;
  const JobId before = world.submit(1);
  world.post(EveryoneHeld{.held = true, .by = "instructor"});
  const JobId after = world.submit(2);
  world.post(move_of(after, MovePlace::first));
  const JobId instructor = world.submit(0);
  world.join("gpu", 1, 3);
  world.settle();
  CHECK(world.core.job(before)->state == JobState::queued);
  CHECK(world.core.job(after)->state == JobState::queued);
  CHECK(world.core.job(instructor)->state == JobState::leased);
  CHECK(refused(world.post(EveryoneHeld{.held = true, .by = "x"}))->reason == NoEffect::nothing_to_change);
  // Who was held alone stays so.
  world.post(ParticipantHeld{.participant = ParticipantId{1}, .held = true, .by = "instructor"});
  world.post(EveryoneHeld{.held = false, .by = "instructor"});
  world.settle();
  CHECK(world.core.job(after)->state == JobState::leased);
  CHECK(world.core.job(before)->state == JobState::queued);
}

TEST_CASE("the configured cap on running binds who has none of their own, and never the instructor") {
  CoreWorld world;
  ParticipantLimits limits;
  limits.participant = ParticipantId{2};
  limits.running_max = 2;
  world.post(limits);
  for (std::uint64_t owner = 0; owner <= 2; ++owner) {
    for (int i = 0; i < 3; ++i) world.submit(owner);
  }
  world.join("gpu", 1, 9);
  const PolicySettings settings{.running_per_participant_max = 1};
  for (const Event& proposal : world.core.decide(world.now, {}, settings).proposals) world.post(proposal);
  CHECK(world.core.counts(ParticipantId{0}).leased == 3);
  CHECK(world.core.counts(ParticipantId{1}).leased == 1);
  CHECK(world.core.counts(ParticipantId{2}).leased == 2);
}

TEST_CASE("a participant's jobs take their places in the order of their numbers") {
  CoreWorld world;
  const JobId first = world.submit(1);
  const JobId other = world.submit(2);
  const JobId second = world.submit(1);
  const JobReordered reorder{.job = second, .number = 0.5, .at_head = false, .by = "participant"};
  world.post(reorder);
  CHECK(refused(world.post(reorder))->reason == NoEffect::nothing_to_change);
  CHECK(refused(world.post(JobReordered{.job = second, .number = std::nan(""), .at_head = false, .by = ""}))
            ->reason == NoEffect::bad_value);
  world.join("gpu", 1, 1);
  world.settle();
  CHECK(world.core.job(second)->state == JobState::leased);  // at its owner's first place
  CHECK(world.core.job(first)->state == JobState::queued);
  CHECK(world.core.job(other)->state == JobState::queued);
  CHECK(refused(world.post(reorder))->reason == NoEffect::job_not_queued);
}

TEST_CASE("who sends jobs to the front of their own does not keep their old place for ever") {
  for (const QueueMode mode : {QueueMode::fifo, QueueMode::priority}) {
    CoreWorld world;
    if (mode != QueueMode::fifo) world.post(ModeChanged{.mode = mode, .by = "instructor"});
    world.join("gpu");
    const JobId old = world.submit(1);
    world.settle();
    const JobId waits = world.submit(1);
    const JobId other = world.submit(2);
    const auto front = [&world] {
      Submitted event;
      event.participant = ParticipantId{1};
      event.prompt_id = "front" + std::to_string(world.sequence);
      event.classes = {"A"};
      event.front = true;
      return CoreWorld::find<Accepted>(world.post(event))->job;
    };
    const auto next_after = [&world](JobId job) {
      world.started(job);
      world.computed(job, 10);
      world.ended(job);
      return CoreWorld::find<JobLeased>(world.settle())->job;
    };
    const JobId first = front(), second = front();
    CHECK(next_after(old) == second);  // the later of the two, at the place of the one that waits
    CHECK(world.core.job(waits)->common_place() == second);
    CHECK(next_after(second) == other);
    front();
    Core restored;
    for (const CheckpointRecord& record : world.core.export_facts()) restored.import_fact(record);
    restored.finish_import();
    CHECK(restored.job(waits)->common_place() == world.core.job(waits)->common_place());
    CHECK(restored.job(first)->common_place() == first);
  }
}

TEST_CASE("a job that the instructor moves ahead leaves the other places of its lane as they are") {
  CoreWorld world;
  const JobId first = world.submit(1);
  const JobId other = world.submit(2);
  const JobId moved = world.submit(1);
  world.post(move_of(moved, MovePlace::first));
  world.join("gpu");
  CHECK(CoreWorld::find<JobLeased>(world.settle())->job == moved);
  CHECK(world.core.job(first)->common_place() == first);
  world.started(moved);
  world.computed(moved, 10);
  world.ended(moved);
  CHECK(CoreWorld::find<JobLeased>(world.settle())->job == first);
  CHECK(world.core.job(other)->state == JobState::queued);
}

TEST_CASE("a job that comes back keeps the place that it took") {
  CoreWorld world;
  const JobId old = world.submit(1);
  const JobId other = world.submit(2);
  const JobId late = world.submit(1);
  world.post(JobReordered{.job = late, .number = 0.5, .at_head = false, .by = "participant"});
  world.join("gpu");
  CHECK(CoreWorld::find<JobLeased>(world.settle())->job == late);
  world.post(world.with<LeaseExpired>(late));
  CHECK(world.core.job(late)->common_place() == old);
  CHECK(world.core.job(old)->common_place() == late);
  CHECK(CoreWorld::find<JobLeased>(world.settle()) == nullptr);  // its slot is not free yet
  world.join("another");
  CHECK(CoreWorld::find<JobLeased>(world.settle())->job == late);
  world.join("third");
  CHECK(CoreWorld::find<JobLeased>(world.settle())->job == other);
}

TEST_CASE("steering survives a checkpoint") {
  CoreWorld world;
  Jobs jobs;
  for (std::uint64_t owner = 1; owner <= 4; ++owner) jobs.push_back(world.submit(owner));
  world.post(move_of(jobs[3], MovePlace::last, {}, {jobs[0], jobs[1]}));
  world.post(EveryoneHeld{.held = true, .by = "instructor"});
  Core restored;
  for (const CheckpointRecord& record : world.core.export_facts()) restored.import_fact(record);
  restored.finish_import();
  CHECK(restored.workshop() == world.core.workshop());
  world.join("gpu");
  CHECK(restored.decide(world.now).proposals.empty());
}

TEST_CASE("what a slot has is never forgotten, however often others' lists change") {
  CoreWorld world;
  world.join("stable");
  world.join("restless");
  const WorkerFacts& restless = *world.core.worker("restless");
  for (std::uint8_t n = 2; n < 150; ++n) {
    Capability capability;
    capability.hash = CoreWorld::digest(n);
    capability.classes = {"A", "B"};
    world.post(capability);
    EngineReady ready;
    ready.slot = SlotId{restless.worker, 0};
    ready.link = restless.link;
    ready.capability = capability.hash;
    ready.engine_start = 1;
    world.post(ready);
  }
  CHECK(world.core.knows_capability(CoreWorld::digest(1)));
  CHECK(world.core.knows_capability(CoreWorld::digest(149)));
  CHECK_FALSE(world.core.knows_capability(CoreWorld::digest(2)));
  world.submit(1);
  world.submit(2);
  world.settle();
  std::size_t leased = 0;
  world.core.each_job([&](const JobFacts& job) { leased += job.lease ? 1 : 0; });
  CHECK(leased == 2);
}

}  // namespace
}  // namespace atelier::core
