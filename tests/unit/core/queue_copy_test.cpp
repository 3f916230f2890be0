// SPDX-License-Identifier: MIT
#include "core/queue_copy.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/forecast.hpp"
#include "support/core_world.hpp"

namespace atelier::core {
namespace {

struct World : CoreWorld {
  void can_run(std::uint8_t hash, std::vector<std::string> classes, std::vector<std::string> models) {
    Capability capability;
    capability.hash = digest(hash);
    capability.classes = std::move(classes);
    capability.models = std::move(models);
    post(capability);
  }
  JobId submit_with(std::uint64_t participant, const std::string& model, const std::string& pinned = {},
                    std::vector<std::string> tags = {}) {
    Submitted event;
    event.participant = ParticipantId{participant};
    event.prompt_id = "p" + std::to_string(sequence);
    event.classes = {"A"};
    event.models = {model};
    event.signature = model == "m1" ? 1 : 2;
    event.pinned_worker = pinned;
    event.tags = std::move(tags);
    return find<Accepted>(post(event))->job;
  }
  void run(JobId job, std::uint64_t gpu_ms) {
    settle();
    started(job);
    computed(job, gpu_ms);
    ended(job);
  }
  QueueCopy::Kind kind_of(JobId job) {
    const QueueCopy copy = core.copy_queue(now);
    for (const QueueCopy::Row& row : copy.rows) {
      if (row.job == job) return copy.kinds[copy.classes[row.job_class].kind];
    }
    FAIL("the job does not wait");
    return {};
  }
};

/// A run with its load takes 30 s, one without 5 s; gpu-1 has m1 and runs such a job, gpu-2 has m2 and is
/// idle.
struct Loaded : World {
  Loaded() {
    post(ModeChanged{QueueMode::round_robin, "test"});
    can_run(1, {"A"}, {"m1", "m2"});
    join("gpu-1");
    for (const char* model : {"m2", "m2", "m1", "m1"}) {
      const JobId job = submit_with(9, model);
      settle();
      run(job, core.job(job)->lease->loads ? 30'000 : 5'000);
    }
    busy = submit_with(8, "m1");
    settle();
    started(busy);
    join("gpu-2");
    now = now + milliseconds{16 * 60'000};  // none of this is mirrored into the future
    computed(busy, 5'000);
    ended(busy);
    busy = submit_with(8, "m1");
    settle();
    started(busy);
  }
  JobId busy;
};

TEST_CASE("a job that affinity leaves for the busy slot with its models says so, within the bound") {
  Loaded world;
  const JobId job = world.submit_with(1, "m1");
  const Decision decision = world.core.decide(world.now);
  REQUIRE(decision.proposals.empty());  // gpu-2 is idle
  REQUIRE(decision.next_at.has_value());
  QueueCopy copy = world.core.copy_queue(world.now);
  std::vector<ExpectedStart> starts = expected_starts(copy);
  REQUIRE(starts.size() == 1);
  REQUIRE(starts[0].awaits.has_value());
  CHECK(copy.slots[*starts[0].awaits].slot.worker == world.core.worker("gpu-1")->worker);
  CHECK(starts[0].slot == *starts[0].awaits);
  CHECK(starts[0].after_ms > 0);

  SUBCASE("nothing is awaited any more when the bound is reached") {
    world.now = *decision.next_at;
    starts = expected_starts(world.core.copy_queue(world.now));
    REQUIRE(starts.size() == 1);
    CHECK_FALSE(starts[0].awaits.has_value());
    CHECK(std::get<Leased>(world.core.decide(world.now).proposals.at(0)).slot.worker ==
          world.core.worker("gpu-2")->worker);
  }
  SUBCASE("a slot that is expected to be free by now is awaited as decide does") {
    world.now = world.now + milliseconds{15'000};  // of 5 s
    REQUIRE(world.core.decide(world.now).proposals.empty());
    copy = world.core.copy_queue(world.now);
    starts = expected_starts(copy);
    REQUIRE(starts.at(0).awaits.has_value());
    CHECK(copy.slots[*starts[0].awaits].job == world.busy);
  }
  SUBCASE("nor is a slot taken that will be idle sooner, which the job is told beforehand") {
    const JobId other = world.submit_with(7, "m2");
    world.settle();
    REQUIRE(world.core.job(other)->lease->slot.worker == world.core.worker("gpu-2")->worker);
    world.started(other);
    world.now = world.now + milliseconds{22'000};  // of 30 s, with its load
    world.computed(world.busy, 5'000);
    world.ended(world.busy);
    world.settle();  // the job starts on gpu-1, the next one waits for that
    const JobId next = world.submit_with(2, "m1");
    world.settle();
    REQUIRE_FALSE(world.core.job(next)->lease.has_value());
    copy = world.core.copy_queue(world.now);
    starts = expected_starts(copy);
    REQUIRE(starts.size() == 1);
    REQUIRE(starts[0].awaits.has_value());
    CHECK(copy.slots[*starts[0].awaits].job == job);
  }
}

TEST_CASE("a copy says what keeps a kind from every worker, the one that is over soonest") {
  World world;
  world.can_run(2, {"A"}, {"m1"});
  const JobId job = world.submit_with(1, "m1");
  CHECK(world.kind_of(job).obstacle == Obstacle::no_worker);

  world.join("gpu-1");  // A and B, without models
  QueueCopy::Kind kind = world.kind_of(job);
  CHECK(kind.obstacle == Obstacle::missing_model);
  CHECK(kind.missing == "m1");
  const JobId node = world.submit(2, {}, {"A", "Z"});
  CHECK(world.kind_of(node).obstacle == Obstacle::missing_node);
  CHECK(world.kind_of(node).missing == "Z");
  CHECK_FALSE(world.kind_of(node).worker);
  const JobId plain = world.submit(3);
  CHECK(world.kind_of(plain).obstacle == Obstacle::none);

  const JobId tagged = world.submit(4);
  JobChanged changed;
  changed.job = tagged;
  changed.tags = {"big"};
  world.post(changed);
  CHECK(world.kind_of(tagged).obstacle == Obstacle::missing_tag);
  CHECK(world.kind_of(tagged).missing == "big");

  const JobId away = world.submit_with(5, "m1", "gpu-9");
  CHECK(world.kind_of(away).obstacle == Obstacle::pinned_away);
  CHECK(world.kind_of(world.submit_with(5, "m1", "gpu-1")).obstacle == Obstacle::missing_model);

  const WorkerId first = world.core.worker("gpu-1")->worker;
  world.post(WorkerPaused{first, true, "test"});
  kind = world.kind_of(plain);
  CHECK(kind.obstacle == Obstacle::worker_paused);
  CHECK(kind.worker == first);
  CHECK(kind.workers == 1);
  world.join("gpu-2");
  CHECK(world.kind_of(plain).obstacle == Obstacle::none);
  const WorkerId second = world.core.worker("gpu-2")->worker;
  world.post(WorkerDraining{second, true, "test"});
  CHECK(world.kind_of(plain).obstacle == Obstacle::worker_paused);  // of the two it is over sooner
  world.post(WorkerDraining{first, true, "test"});
  kind = world.kind_of(plain);
  CHECK(kind.obstacle == Obstacle::worker_drains);
  CHECK(kind.workers == 2);
  world.post(WorkerDraining{second, false, "test"});
  world.post(EngineLost{SlotId{second, 0}, world.core.worker("gpu-2")->link});
  kind = world.kind_of(plain);
  CHECK(kind.obstacle == Obstacle::engine_away);
  CHECK(kind.worker == second);
  const QueueCopy copy = world.core.copy_queue(world.now);
  REQUIRE(copy.away.size() == 2);
  CHECK(copy.away[0].worker == first);
  CHECK(copy.away[0].why == Obstacle::worker_drains);
  CHECK(copy.away[1].why == Obstacle::engine_away);
}

TEST_CASE("what others have and the nearest lacks is told from what nobody has") {
  World world;
  const WorkerId first = world.join("gpu-1").worker;  // A and B
  const JobId job = world.submit(1, {}, {"B", "C"});
  CHECK(world.kind_of(job).missing == "C");
  CHECK_FALSE(world.kind_of(job).worker);
  world.can_run(3, {"C"}, {});
  WorkerJoined joined;
  joined.name = "gpu-2";
  joined.boot = Key128{2, 2};
  joined.slots.emplace_back().capability = World::digest(3);
  world.post(joined);
  CHECK(world.kind_of(job).obstacle == Obstacle::missing_node);
  CHECK(world.kind_of(job).missing == "C");
  CHECK(world.kind_of(job).worker == first);
}

TEST_CASE("a slot that takes no more jobs ends its own, and the others are as if it were not there") {
  World world;
  world.post(ModeChanged{QueueMode::round_robin, "test"});
  world.join("gpu-1");
  world.join("gpu-2");
  ParticipantLimits limits;
  limits.participant = ParticipantId{1};
  limits.running_max = 1;
  world.post(limits);
  const JobId running = world.submit(1);
  const JobId other = world.submit(2);
  world.settle();
  world.started(running);
  world.started(other);
  const WorkerId leaving = world.core.job(running)->lease->slot.worker;
  world.post(WorkerDraining{leaving, true, "test"});
  const JobId next = world.submit(1);
  const QueueCopy copy = world.core.copy_queue(world.now);
  CHECK(copy.usable);
  REQUIRE(copy.slots.size() == 2);
  const std::vector<ExpectedStart> starts = expected_starts(copy);
  REQUIRE(starts.size() == 1);  // whose owner's only job ends there
  CHECK(copy.rows[starts[0].row].job == next);
  CHECK(copy.slots[starts[0].slot].slot.worker != leaving);
  CHECK(forecast(copy, {}).size() == 3);
  world.post(WorkerPaused{world.core.job(other)->lease->slot.worker, true, "test"});
  CHECK_FALSE(world.core.copy_queue(world.now).usable);
}

TEST_CASE("what somebody has used is what is charged for their running jobs, too") {
  World world;
  world.join("gpu-1");
  world.run(world.submit(1), 4'000);
  const JobId running = world.submit(1);
  world.settle();
  world.submit(1);
  world.submit(2);
  const QueueCopy copy = world.core.copy_queue(world.now);
  for (const QueueCopy::Owner& owner : copy.owners) {
    if (owner.participant == ParticipantId{2}) CHECK(owner.used_ms == 0);
    if (owner.participant == ParticipantId{1})
      CHECK(owner.used_ms == 4'000 + world.core.job(running)->lease->charge_ms);
  }
  CHECK(copy.slots.at(0).charge_ms > 0);
}

}  // namespace
}  // namespace atelier::core
