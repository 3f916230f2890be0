// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

TEST_CASE("a job goes from queued to leased to running to its one end") {
  CoreWorld world;
  const JobId job = world.submit(7);
  CHECK(world.core.job(job)->state == JobState::queued);
  world.join("gpu-1");
  const auto* leased = CoreWorld::find<JobLeased>(world.settle());
  REQUIRE(leased != nullptr);
  CHECK(world.core.job(job)->state == JobState::leased);
  CHECK(world.core.job(job)->epoch == Epoch{1});
  world.started(job);
  CHECK(world.core.counts(ParticipantId{7}).running == 1);
  world.computed(job, 500);
  CHECK(world.core.participant(ParticipantId{7})->used_ms == 500);
  const auto effects = world.ended(job);
  REQUIRE(CoreWorld::find<JobEnded>(effects) != nullptr);
  CHECK(world.core.job(job) == nullptr);
  CHECK(CoreWorld::find<Refused>(world.post(Ended{.job = job,
                                                  .epoch = Epoch{1},
                                                  .outcome = Outcome::failed,
                                                  .reason = {},
                                                  .sentence = {},
                                                  .report = {}}))
            ->reason == NoEffect::already_ended);
}

TEST_CASE("a busy slot is told the job that it will probably get, a paused workshop promises nothing") {
  CoreWorld world;
  world.join("gpu-1");
  const JobId running = world.submit(1);
  world.settle();
  CHECK(world.core.likely_next(world.now).empty());
  world.submit(2, "no-such-node", {"C"});
  const JobId next = world.submit(3);
  world.submit(1);
  const auto likely = world.core.likely_next(world.now);
  REQUIRE(likely.size() == 1);
  CHECK(likely[0].job == next);
  CHECK(likely[0].epoch == Epoch{1});
  CHECK(likely[0].slot == world.core.job(running)->lease->slot);
  world.computed(running);
  CHECK(CoreWorld::find<JobLeased>(world.settle())->job == next);
  Paused pause;
  world.post(pause);
  CHECK(world.core.likely_next(world.now).empty());
}

TEST_CASE("a worker that comes back with another boot has a free slot again when its lease is given up") {
  for (const bool engine_seen : {true, false}) {
    CoreWorld world;
    world.join("gpu-1", 1);
    const JobId job = world.submit(1);
    world.settle();
    world.started(job);
    WorkerJoined again;
    again.name = "gpu-1";
    again.boot = Key128{2, 2};
    JoinedSlot slot;
    slot.empty = true;
    if (engine_seen) {
      slot.capability = CoreWorld::digest(1);
      slot.engine_start = 1;
    } else {
      slot.engine_alive = false;
    }
    again.slots.push_back(slot);
    const Accepted link = *CoreWorld::find<Accepted>(world.post(again));
    LeaseExpired expired = world.with<LeaseExpired>(job);
    expired.link = link.link;
    expired.reason = LossReason::restarted;
    world.post(expired);
    CHECK(world.core.job(job)->deaths == 1);
    if (!engine_seen) {
      CHECK(CoreWorld::find<JobLeased>(world.settle()) == nullptr);
      EngineReady ready;
      ready.slot = SlotId{link.worker, 0};
      ready.link = link.link;
      ready.capability = CoreWorld::digest(1);
      ready.engine_start = 5;
      world.post(ready);
    }
    REQUIRE(CoreWorld::find<JobLeased>(world.settle()) != nullptr);
    CHECK(world.core.job(job)->epoch == Epoch{2});
  }
}

TEST_CASE("in fifo the smallest place is next, and the owner's number says which of their jobs takes it") {
  CoreWorld world;
  const JobId a1 = world.submit(1);
  const JobId b1 = world.submit(2);
  Submitted front;
  front.participant = ParticipantId{1};
  front.prompt_id = "front";
  front.front = true;
  front.classes = {"A"};
  const JobId a2 = CoreWorld::find<Accepted>(world.post(front))->job;
  world.join("gpu", 1, 3);
  std::vector<JobId> order;
  for (const Effect& effect : world.settle()) {
    if (const auto* leased = std::get_if<JobLeased>(&effect)) order.push_back(leased->job);
  }
  CHECK(order == std::vector<JobId>{a2, b1, a1});
}

TEST_CASE(
    "a lease that expires puts its job back at the head of its owner's lane, and the ghost is refused") {
  CoreWorld world;
  world.join("gpu-1");
  const JobId job = world.submit(1);
  const JobId later = world.submit(1);
  world.settle();
  const Started ghost = world.with<Started>(job);
  LeaseExpired expired;
  expired.job = job;
  expired.epoch = Epoch{1};
  expired.link = world.core.job(job)->lease->link;
  const auto effects = world.post(expired);
  CHECK(CoreWorld::find<StopWanted>(effects) != nullptr);
  CHECK(world.core.job(job)->state == JobState::queued);
  CHECK(CoreWorld::find<Refused>(world.post(ghost))->reason == NoEffect::stale_epoch);
  // The slot is stopping: it gets nothing until its agent says that it is idle.
  CHECK(world.settle().empty());
  std::vector<JobId> lane;
  world.core.each_job_of(ParticipantId{1}, [&](const JobFacts& facts) { lane.push_back(facts.job); });
  CHECK(lane == std::vector<JobId>{job, later});
  SlotIdle idle;
  idle.slot = SlotId{WorkerId{1}, 0};
  idle.link = world.core.worker("gpu-1")->link;
  world.post(idle);
  world.settle();
  CHECK(world.core.job(job)->epoch == Epoch{2});
  CHECK(world.core.job(job)->losses == 1);
}

TEST_CASE("an expiry of a link that the worker does not have any more has no effect") {
  CoreWorld world;
  const LinkId old = world.join("gpu-1").link;
  const JobId job = world.submit(1);
  world.settle();
  world.join("gpu-1");  // the same boot dials in again: the lease moves
  LeaseExpired expired;
  expired.job = job;
  expired.epoch = Epoch{1};
  expired.link = old;
  CHECK(CoreWorld::find<Refused>(world.post(expired))->reason == NoEffect::stale_link);
  CHECK(world.core.job(job)->state == JobState::leased);
}

TEST_CASE("a job whose worker dies three times while it runs is set aside with the reason") {
  CoreWorld world;
  const JobId job = world.submit(1);
  for (std::uint64_t boot = 1; boot <= 3; ++boot) {
    const Accepted joined = world.join("gpu-1", boot);
    world.settle();
    REQUIRE(world.core.job(job)->state == JobState::leased);
    world.started(job);
    LeaseExpired expired = world.with<LeaseExpired>(job);
    expired.link = joined.link;
    expired.reason = LossReason::restarted;
    world.post(expired);
  }
  const auto effects = world.settle();
  const auto* ended = CoreWorld::find<JobEnded>(effects);
  REQUIRE(ended != nullptr);
  CHECK(ended->outcome == Outcome::failed);
  CHECK(ended->reason == EndReason::too_many_deaths);
}

TEST_CASE("a cancel of a waiting job ends it at once, of a running one after ten seconds without an answer") {
  CoreWorld world;
  const JobId waiting = world.submit(1);
  world.post(CancelRequested{.job = waiting, .by = "participant"});
  CHECK(world.core.counts(ParticipantId{1}).waiting == 0);
  CHECK(CoreWorld::find<JobEnded>(world.settle())->outcome == Outcome::cancelled);

  world.join("gpu-1");
  const JobId running = world.submit(1);
  world.settle();
  world.started(running);
  CHECK(CoreWorld::find<StopWanted>(world.post(CancelRequested{.job = running, .by = "participant"})) !=
        nullptr);
  const Decision soon = world.core.decide(world.now + milliseconds{9'999});
  CHECK(soon.proposals.empty());
  REQUIRE(soon.next_at);
  CHECK(*soon.next_at == world.now + milliseconds{10'000});
  world.now = *soon.next_at;
  const auto effects = world.settle();
  CHECK(CoreWorld::find<JobEnded>(effects)->reason == EndReason::cancel_unanswered);
  CHECK(CoreWorld::find<StopWanted>(effects) != nullptr);
}

TEST_CASE("of a cancel and a completion the first end in the journal wins with its own outcome") {
  CoreWorld world;
  world.join("gpu-1");
  const JobId job = world.submit(1);
  world.settle();
  world.started(job);
  world.post(CancelRequested{.job = job, .by = "participant"});
  const auto effects = world.ended(job, Outcome::succeeded);
  CHECK(CoreWorld::find<JobEnded>(effects)->outcome == Outcome::succeeded);
}

TEST_CASE("the same prompt_id is refused while its job lives, and per participant only") {
  CoreWorld world;
  const JobId first = world.submit(1, "same");
  Submitted again;
  again.participant = ParticipantId{1};
  again.prompt_id = "same";
  const auto effects = world.post(again);
  CHECK(CoreWorld::find<Refused>(effects)->rival == first);
  CHECK(world.submit(2, "same") != JobId{});
}

TEST_CASE("caps on waiting jobs count what is between admit and apply") {
  CoreWorld world;
  world.submit(1);
  Submitted next;
  next.participant = ParticipantId{1};
  next.prompt_id = "x";
  const AdmissionLimits caps{.waiting_per_participant_max = 3, .waiting_max = 10};
  CHECK(world.core.admit(next, caps, {.of_participant = 1, .in_all = 1}).has_value());
  const auto refused = world.core.admit(next, caps, {.of_participant = 2, .in_all = 2});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::queue_full);
  CHECK(world.core
            .admit(next, {.waiting_per_participant_max = 0, .waiting_max = 3},
                   {.of_participant = 0, .in_all = 2})
            .error()
            .code == Errc::queue_full);
}

TEST_CASE("a hard limit of a container refuses and stores nothing") {
  Limits limits;
  limits.jobs_max = 2;
  CoreWorld world(limits);
  world.submit(1);
  world.submit(1);
  CHECK(world.submit(1) == JobId{});
  CHECK(world.core.jobs_live() == 2);
}

TEST_CASE("a job waits for a worker that has its node classes") {
  CoreWorld world;
  world.join("gpu-1");
  const JobId strange = world.submit(1, "", {"C"});
  const JobId plain = world.submit(2, "", {"B"});
  world.settle();
  CHECK(world.core.job(strange)->state == JobState::queued);
  CHECK(world.core.job(plain)->state == JobState::leased);
  CHECK_FALSE(world.core.able_worker_exists(*world.core.job(strange)));
}

TEST_CASE("holds, pause, drain and the instructor's lane are kept by every decision") {
  CoreWorld world;
  const JobId held = world.submit(1);
  const JobId other = world.submit(2);
  const JobId instructor = world.submit(0);
  world.post(JobHeld{.job = held, .by = "instructor"});
  world.post(Paused{.paused = true, .by = "instructor"});
  world.join("gpu-1", 1, 2);
  CHECK(world.settle().empty());
  world.post(Paused{.paused = false, .by = "instructor"});
  const auto effects = world.settle();
  REQUIRE(CoreWorld::find<JobLeased>(effects) != nullptr);
  CHECK(CoreWorld::find<JobLeased>(effects)->job == instructor);
  CHECK(world.core.job(held)->state == JobState::held);
  CHECK(world.core.job(other)->state == JobState::leased);
  world.post(JobReleased{.job = held, .by = "instructor"});
  world.computed(other);
  world.post(WorkerDraining{.worker = WorkerId{1}, .draining = true, .reason = ""});
  CHECK(world.settle().empty());
}

TEST_CASE("a moved job goes before the computed order") {
  CoreWorld world;
  world.submit(1);
  const JobId late = world.submit(2);
  world.post(Moved{.job = late, .place = MovePlace::first, .anchor = {}, .by = "instructor", .ahead = {}});
  world.join("gpu-1");
  CHECK(CoreWorld::find<JobLeased>(world.settle())->job == late);
  CHECK(world.core.workshop().moved.empty());
}

TEST_CASE("a cap on running jobs counts a job until it is computed") {
  CoreWorld world;
  ParticipantLimits limits;
  limits.participant = ParticipantId{1};
  limits.running_max = 1;
  world.post(limits);
  const JobId first = world.submit(1);
  const JobId second = world.submit(1);
  world.join("gpu", 1, 2);
  world.settle();
  CHECK(world.core.job(second)->state == JobState::queued);
  world.started(first);
  world.computed(first);
  world.settle();
  CHECK(world.core.job(second)->state == JobState::leased);
}

}  // namespace
}  // namespace atelier::core
