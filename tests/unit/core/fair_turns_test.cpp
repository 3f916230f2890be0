// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <tuple>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

/// Fair turns on one worker that has the models m1 and m2.
class FairWorld : public CoreWorld {
 public:
  FairWorld() {
    post(ModeChanged{QueueMode::round_robin, "test"});
    Capability capability;
    capability.hash = digest(1);
    capability.classes = {"A"};
    capability.models = {"m1", "m2"};
    post(capability);
    join("gpu-1");
  }
  JobId submit_with(std::uint64_t participant, const std::string& model, std::uint64_t signature) {
    Submitted event;
    event.participant = ParticipantId{participant};
    event.prompt_id = "p" + std::to_string(sequence);
    event.classes = {"A"};
    event.models = {model};
    event.signature = signature;
    return find<Accepted>(post(event))->job;
  }
  void run(JobId job, std::uint64_t gpu_ms) {
    started(job);
    computed(job, gpu_ms);
    ended(job);
  }
  /// Somebody's run, so that it is known how long it takes.
  void teach(const std::string& model, std::uint64_t signature, std::uint64_t gpu_ms) {
    const JobId job = submit_with(9, model, signature);
    settle();
    run(job, gpu_ms);
  }
};

TEST_CASE("a cancelled job pays what it ran, a lost one nothing, also if it was computed") {
  FairWorld world;
  world.teach("m1", 1, 5'000);
  const ParticipantFacts* owner = nullptr;
  const auto leased = [&] {
    const JobId job = world.submit_with(1, "m1", 1);
    world.settle();
    owner = world.core.participant(ParticipantId{1});
    return job;
  };
  const auto idle = [&] {
    const WorkerFacts& worker = *world.core.worker("gpu-1");
    world.post(SlotIdle{SlotId{worker.worker, 0}, worker.link});
  };
  JobId job = leased();
  world.ended(job, Outcome::cancelled);  // before it had started
  CHECK(owner->tag == 0);
  CHECK(owner->used_ms == 0);
  idle();

  job = leased();
  world.started(job);
  world.now = world.now + milliseconds{1'999};
  world.ended(job, Outcome::cancelled);
  CHECK(owner->tag == 2'000);
  CHECK(owner->used_ms == 2'000);
  idle();

  job = leased();
  world.started(job);
  world.computed(job, 3'000);
  CHECK(owner->used_ms == 5'000);
  CHECK(owner->tag == 5'000);
  world.post(world.with<LeaseExpired>(job));
  CHECK(owner->used_ms == 2'000);
  CHECK(owner->tag == 2'000);
  world.settle();
  world.started(job);
  world.computed(job, 3'000);
  world.ended(job);
  CHECK(owner->used_ms == 5'000);
  CHECK(owner->tag == 5'000);
}

TEST_CASE(
    "kinds that only a held participant has in the instructor's list are counted without harm when a slot "
    "must load") {
  FairWorld world;
  world.teach("m2", 1, 1'000);
  world.teach("m1", 1, 1'000);  // what its slot has now
  world.join("gpu-2");
  world.post(ParticipantHeld{ParticipantId{1}, true, "test"});
  for (int i = 0; i < 8; ++i) world.submit_with(1, "m1", 1);          // before those in their lane
  for (const char* tag : {"a", "b", "c", "d", "e", "f", "g", "h"}) {  // more kinds than there were
    const JobId held = world.submit_with(1, "m1", 1);
    Moved moved;
    moved.job = held;
    moved.place = MovePlace::last;
    world.post(moved);
    JobChanged changed;
    changed.job = held;
    changed.priority = PriorityLevel::normal;
    changed.tags = {tag};
    world.post(changed);
  }
  const JobId job = world.submit_with(2, "m2", 1);
  const Decision decision = world.core.decide(world.now);
  REQUIRE(decision.proposals.size() == 1);
  CHECK(std::get<Leased>(decision.proposals.front()).job == job);
}

TEST_CASE("a lane's long job that needs no load does not lose the turn of the short one before it") {
  FairWorld world;
  // A load costs nothing here: what was loaded for takes no longer. m2 is in the slot at the end.
  for (const auto& [model, signature, gpu_ms] :
       {std::tuple{"m1", 1, 1'000}, {"m2", 2, 30'000}, {"m2", 3, 10'000}}) {
    for (int i = 0; i < 3; ++i)
      world.teach(model, static_cast<std::uint64_t>(signature), static_cast<std::uint64_t>(gpu_ms));
  }
  const JobId before = world.submit_with(8, "m2", 3);  // keeps the slot busy until all wait
  world.settle();
  const JobId quick = world.submit_with(1, "m1", 1);
  world.submit_with(1, "m2", 2);
  const JobId other = world.submit_with(2, "m2", 3);
  world.run(before, 10'000);
  // In the strict order `quick` is first: who goes before it says so.
  const Decision decision = world.core.decide(world.now);
  REQUIRE(decision.proposals.size() == 1);
  const auto& leased = std::get<Leased>(decision.proposals.front());
  CHECK(leased.job == other);
  CHECK(leased.passed == std::vector<JobId>{quick});
}

TEST_CASE("a lane's later job that counts as much as its first does not lose the first one's age") {
  FairWorld world;
  for (const auto& [model, signature] : {std::tuple{"m1", 1U}, {"m2", 2U}}) {
    for (int i = 0; i < 3; ++i) world.teach(model, signature, 10'000);
  }
  const JobId before = world.submit_with(8, "m2", 2);  // keeps the slot busy until all wait
  world.settle();
  const JobId oldest = world.submit_with(1, "m1", 1);
  const JobId other = world.submit_with(2, "m2", 2);
  world.submit_with(1, "m2", 2);  // no load, and as much in the order as `oldest`
  world.run(before, 10'000);
  const Decision decision = world.core.decide(world.now);
  REQUIRE(decision.proposals.size() == 1);
  const auto& leased = std::get<Leased>(decision.proposals.front());
  CHECK(leased.job == other);
  CHECK(leased.passed == std::vector<JobId>{oldest});
}

}  // namespace
}  // namespace atelier::core
