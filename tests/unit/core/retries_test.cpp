// SPDX-License-Identifier: MIT
// How often a job may come back, and how long it may run (core.md 5).
#include <doctest/doctest.h>

#include "support/core_world.hpp"

namespace atelier::core {
namespace {

/// One worker and one job that is granted again and again.
class RetryWorld : public CoreWorld {
 public:
  RetryWorld() : job(submit(1)) {}

  /// A new process of the worker takes the job; the one before is gone for good.
  void take() {
    link = join("gpu-1", ++boot).link;
    settle();
    REQUIRE(core.job(job) != nullptr);
    REQUIRE(core.job(job)->state == JobState::leased);
  }
  void lose(LossReason reason) {
    LeaseExpired event = with<LeaseExpired>(job);
    event.link = link;
    event.reason = reason;
    post(event);
  }
  void give_back(ReturnReason reason) {
    Returned event = with<Returned>(job);
    event.reason = reason;
    post(event);
  }

  JobId job;
  LinkId link;
  std::uint64_t boot = 0;
};

TEST_CASE("deaths while it ran and all other losses of a job are counted apart, three and ten") {
  RetryWorld world;
  const auto die = [&] {
    world.take();
    world.started(world.job);
    world.lose(LossReason::restarted);
  };
  const auto lose = [&](int i) {
    world.take();
    if (i % 3 == 0) world.started(world.job);
    if (i % 2 == 0) {
      world.lose(i % 4 == 0 ? LossReason::link_expired : LossReason::evicted);
    } else {
      world.give_back(ReturnReason::disk_full);
    }
  };
  die();
  die();
  for (int i = 0; i < 9; ++i) lose(i);
  CHECK(world.core.job(world.job)->deaths == 2);
  CHECK(world.core.job(world.job)->losses == 9);
  SUBCASE("the third death") {
    die();
    const auto effects = world.settle();
    const auto* ended = CoreWorld::find<JobEnded>(effects);
    REQUIRE(ended != nullptr);
    CHECK(ended->outcome == Outcome::failed);
    CHECK(ended->reason == EndReason::too_many_deaths);
    CHECK(ended->sentence.find("3 workers went down") != std::string::npos);
  }
  SUBCASE("the tenth loss") {
    lose(9);
    const auto effects = world.settle();
    const auto* ended = CoreWorld::find<JobEnded>(effects);
    REQUIRE(ended != nullptr);
    CHECK(ended->reason == EndReason::too_many_returns);
    CHECK(ended->sentence.find("10 times") != std::string::npos);
  }
}

TEST_CASE("a cancelled job whose worker or engine is lost before it answers ends as one that had begun") {
  for (const LossReason reason : {LossReason::engine_died, LossReason::link_expired, LossReason::restarted}) {
    CAPTURE(static_cast<int>(reason));
    RetryWorld world;
    world.take();
    world.started(world.job);
    world.post(CancelRequested{.job = world.job, .by = "participant"});
    world.lose(reason);
    const auto effects = world.settle();
    const auto* ended = CoreWorld::find<JobEnded>(effects);
    REQUIRE(ended != nullptr);
    CHECK(ended->outcome == Outcome::cancelled);
    CHECK(ended->reason == EndReason::cancel_unanswered);
  }
}

TEST_CASE("a worker that dies before a job has started, or after it has computed, is no death of the job") {
  for (const bool computed : {false, true}) {
    RetryWorld world;
    world.take();
    if (computed) {
      world.started(world.job);
      world.computed(world.job, 10);
    }
    world.lose(LossReason::restarted);
    CHECK(world.core.job(world.job)->deaths == 0);
    CHECK(world.core.job(world.job)->losses == 1);
  }
}

TEST_CASE("a worn-out job is granted no more, also while its end is not recorded yet") {
  RetryWorld world;
  for (int i = 0; i < 10; ++i) {
    world.take();
    world.give_back(ReturnReason::draining);
  }
  world.join("gpu-1", 99);
  const Decision decision = world.core.decide(world.now);
  REQUIRE(decision.proposals.size() == 1);
  CHECK(std::holds_alternative<Ended>(decision.proposals.front()));
}

TEST_CASE("a job whose inputs never come ends after three tries, with the reason") {
  RetryWorld world;
  for (int i = 0; i < 3; ++i) {
    world.take();
    world.give_back(ReturnReason::draining);
    world.take();
    world.give_back(ReturnReason::input_not_fetched);
  }
  const auto effects = world.settle();
  const auto* ended = CoreWorld::find<JobEnded>(effects);
  REQUIRE(ended != nullptr);
  CHECK(ended->outcome == Outcome::failed);
  CHECK(ended->sentence.find("3 times the files that this job reads could not be brought") !=
        std::string::npos);
  CHECK(world.core.decide(world.now).proposals.empty());
}

TEST_CASE("what workers have said of a job changes no fact of the others in its lane") {
  CoreWorld world;
  const Accepted worker = world.join("gpu-1");
  const JobId first = world.submit(1), second = world.submit(1);
  for (int i = 0; i < 3; ++i) {
    world.settle();
    REQUIRE(world.core.job(first)->lease);
    Returned returned = world.with<Returned>(first);
    returned.reason = ReturnReason::input_not_fetched;
    world.post(returned);
    if (i < 2) world.post(SlotIdle{.slot = {worker.worker, 0}, .link = worker.link});
  }
  // Another gateway, which has not heard of all three, proposed this before the end was recorded.
  world.post(SlotIdle{.slot = {worker.worker, 0}, .link = worker.link});
  Leased leased;
  leased.job = second;
  leased.slot = SlotId{worker.worker, 0};
  leased.link = worker.link;
  leased.epoch = Epoch{1};
  world.post(leased);
  REQUIRE(world.core.job(second)->lease);
  CHECK(world.core.job(second)->common_place() == first);
  const Decision decision = world.core.decide(world.now);
  REQUIRE(decision.proposals.size() == 1);
  CHECK(std::get<Ended>(decision.proposals.front()).job == first);
}

TEST_CASE("a job that is given back ten times says why it was the last time") {
  for (const bool full : {false, true}) {
    RetryWorld world;
    for (int i = 0; i < 10; ++i) {
      world.take();
      if (full || i < 9) {
        world.give_back(ReturnReason::disk_full);
      } else {
        world.lose(LossReason::evicted);
      }
    }
    const auto effects = world.settle();
    const auto* ended = CoreWorld::find<JobEnded>(effects);
    REQUIRE(ended != nullptr);
    CHECK((ended->sentence.find("the worker's disk was full") != std::string::npos) == full);
  }
}

TEST_CASE("a job that was given back goes to another worker if one is free") {
  for (const QueueMode mode : {QueueMode::fifo, QueueMode::round_robin}) {
    CAPTURE(std::string(to_string(mode)));
    CoreWorld world;
    if (mode != QueueMode::fifo) world.post(ModeChanged{mode, "instructor"});
    const JobId job = world.submit(1);
    const Accepted first = world.join("gpu-1");
    world.settle();
    const WorkerId second = world.join("gpu-2").worker;
    const auto give_back = [&](WorkerId worker, LinkId link) {
      REQUIRE(world.core.job(job)->lease->slot.worker == worker);
      Returned returned = world.with<Returned>(job);
      returned.reason = ReturnReason::refused_by_engine;
      world.post(returned);
      world.post(SlotIdle{.slot = {worker, 0}, .link = link});
      world.settle();
    };
    give_back(first.worker, first.link);
    give_back(second, world.core.worker("gpu-2")->link);
    REQUIRE(world.core.job(job)->lease->slot.worker == first.worker);
    world.post(WorkerPaused{second, true, "instructor"});
    give_back(first.worker, first.link);
    CHECK(world.core.job(job)->lease->slot.worker == first.worker);  // nobody else can
  }
}

TEST_CASE("a worker whose disk or line failed a job gets it in no other slot before its pause is over") {
  CoreWorld world;
  const Accepted worker = world.join("gpu-1", 1, 2);
  const JobId job = world.submit(1);
  world.settle();
  const SlotId slot = world.core.job(job)->lease->slot;
  Returned returned = world.with<Returned>(job);
  returned.reason = ReturnReason::disk_full;
  bool at_once = false;
  SUBCASE("its disk is full") {}
  SUBCASE("its inputs did not come") { returned.reason = ReturnReason::input_not_fetched; }
  SUBCASE("its engine is silent: the other slot has another one") {
    returned.reason = ReturnReason::refused_by_engine;
    at_once = true;
  }
  world.post(returned);
  world.settle();
  CHECK(world.core.job(job)->lease.has_value() == at_once);
  CHECK(world.core.able_worker_exists(*world.core.job(job)));
  if (at_once) return;
  SUBCASE("the pause is over") {
    world.post(SlotIdle{.slot = slot, .link = worker.link});
    world.settle();
    CHECK(world.core.job(job)->lease.has_value());
  }
  SUBCASE("another worker comes") {
    const WorkerId other = world.join("gpu-2").worker;
    world.settle();
    REQUIRE(world.core.job(job)->lease.has_value());
    CHECK(world.core.job(job)->lease->slot.worker == other);
    world.post(SlotIdle{.slot = slot, .link = worker.link});
  }
  SUBCASE("the others' jobs and other changes are as ever") {
    const JobId other = world.submit(2);
    world.settle();
    CHECK(world.core.job(other)->lease.has_value());
    world.post(ModeChanged{QueueMode::priority, "instructor"});
    world.post(JobHeld{job, "instructor"});
    world.post(JobReleased{job, "instructor"});
    world.settle();
    CHECK_FALSE(world.core.job(job)->lease.has_value());
    world.post(SlotsChanged{worker.worker, worker.link, {}, {slot.index}});
    world.ended(other);
    world.post(SlotIdle{.slot = {worker.worker, 1 - slot.index}, .link = worker.link});
    world.settle();
    CHECK(world.core.job(job)->lease.has_value());
  }
  SUBCASE("its participant gives it up") {
    world.post(CancelRequested{.job = job, .by = "participant"});
    world.settle();
    CHECK(world.core.job(job) == nullptr);
    world.post(SlotIdle{.slot = slot, .link = worker.link});
  }
}

TEST_CASE("a lease that was on its way to an engine that died is stopped: it shall not run beside the next") {
  RetryWorld world;
  world.take();
  const SlotId slot = world.core.job(world.job)->lease->slot;
  const auto effects = world.post(EngineLost{.slot = slot, .link = world.link});
  const auto* stop = CoreWorld::find<StopWanted>(effects);
  REQUIRE(stop != nullptr);
  CHECK(stop->job == world.job);
  CHECK(stop->epoch == Epoch{1});
  CHECK(stop->link == world.link);
  CHECK(world.core.job(world.job)->losses == 1);
}

TEST_CASE("of two grants of one job, or of one slot, the first in the journal stands") {
  // Two gateways decide on the same state; both lists of proposals come into the journal.
  CoreWorld world;
  const JobId first = world.submit(1), second = world.submit(2);
  world.join("gpu-1");
  const Event ours = world.core.decide(world.now).proposals.at(0);
  REQUIRE(std::get<Leased>(ours).job == first);
  Leased same_slot = std::get<Leased>(ours);
  same_slot.job = second;
  const SlotId other_slot{world.join("gpu-2").worker, 0};
  Leased same_job = std::get<Leased>(ours);
  same_job.slot = other_slot;
  same_job.link = world.core.worker("gpu-2")->link;

  CHECK(CoreWorld::find<JobLeased>(world.post(ours)) != nullptr);
  CHECK(CoreWorld::find<Refused>(world.post(ours))->reason == NoEffect::job_not_queued);
  CHECK(CoreWorld::find<Refused>(world.post(same_job))->reason == NoEffect::job_not_queued);
  CHECK(CoreWorld::find<Refused>(world.post(same_slot))->reason == NoEffect::slot_taken);
  CHECK(world.core.job(first)->epoch == Epoch{1});
  CHECK(world.core.job(second)->epoch == Epoch{});
}

TEST_CASE("an epoch is raised by a grant and by nothing else") {
  RetryWorld world;
  for (std::uint64_t epoch = 1; epoch <= 5; ++epoch) {
    world.take();
    CHECK(world.core.job(world.job)->epoch == Epoch{epoch});
    world.give_back(ReturnReason::draining);
    CHECK(world.core.job(world.job)->epoch == Epoch{epoch});
  }
}

TEST_CASE("a job whose agent does not enforce the limit is ended by the workshop a minute later") {
  RetryWorld world;
  constexpr PolicySettings kLimit{.job_limit = milliseconds{120'000}};
  const auto decide = [&](Time at) { return world.core.decide(at, {}, kLimit); };
  world.take();
  CHECK_FALSE(decide(world.now).next_at);  // fetching its inputs may take long
  world.started(world.job);
  const Time end = world.now + milliseconds{180'000};
  Decision early = decide(end - milliseconds{1});
  CHECK(early.proposals.empty());
  REQUIRE(early.next_at);
  CHECK(*early.next_at == end);
  CHECK(world.core.decide(end).proposals.empty());  // no limit is the default

  Decision due = decide(end);
  REQUIRE(due.proposals.size() == 1);
  world.now = end;
  const auto effects = world.post(due.proposals.front(), milliseconds{0});
  const auto* ended = CoreWorld::find<JobEnded>(effects);
  REQUIRE(ended != nullptr);
  CHECK(ended->outcome == Outcome::failed);
  CHECK(ended->reason == EndReason::time_limit);
  CHECK(ended->sentence == "Stopped after 2 min, the longest time a job may run here.");
  CHECK(CoreWorld::find<StopWanted>(effects) != nullptr);
  world.submit(2);
  CHECK(world.settle().empty());  // the slot is stopping until its agent says that it is idle
}

TEST_CASE("the limit is asked of what runs: not of a computed job, and once of one that is cancelled, too") {
  constexpr PolicySettings kLimit{.job_limit = milliseconds{120'000}};
  RetryWorld world;
  world.take();
  world.started(world.job);
  SUBCASE("computed: its outputs may travel as long as they need") {
    world.computed(world.job, 10);
    const Decision later = world.core.decide(world.now + milliseconds{9'000'000}, {}, kLimit);
    CHECK(later.proposals.empty());
    CHECK_FALSE(later.next_at);
  }
  SUBCASE("cancelled: the cancel's own end stands") {
    world.post(CancelRequested{.job = world.job, .by = "participant"});
    const Decision later = world.core.decide(world.now + milliseconds{9'000'000}, {}, kLimit);
    REQUIRE(later.proposals.size() == 1);
    CHECK(std::get<Ended>(later.proposals.front()).reason == EndReason::cancel_unanswered);
  }
  SUBCASE("after a checkpoint it is the same") {
    Core restored;
    for (const CheckpointRecord& record : world.core.export_facts()) restored.import_fact(record);
    restored.finish_import();
    CHECK(restored.decide(world.now, {}, kLimit).next_at == world.core.decide(world.now, {}, kLimit).next_at);
  }
}

}  // namespace
}  // namespace atelier::core
