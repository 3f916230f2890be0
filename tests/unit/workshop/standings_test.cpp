// SPDX-License-Identifier: MIT
#include "workshop/standings.hpp"

#include <doctest/doctest.h>

#include "support/core_world.hpp"

using namespace atelier;            // NOLINT: tests
using namespace atelier::workshop;  // NOLINT: tests
using core::QueueMode;

namespace {

/// One worker that is busy with a job of participant 9.
struct Class : core::CoreWorld {
  explicit Class(QueueMode mode = QueueMode::fifo) {
    if (mode != QueueMode::fifo) post(core::ModeChanged{mode, "test"});
    join("gpu");
    busy = submit(9);
    settle();
    started(busy);
  }
  /// Looks again; what was told before is remembered.
  const StandingsView& look() {
    view = std::make_shared<StandingsView>(
        make_standings(core.copy_queue(now), core::EtaErrors{}.spread(now), view.get(), 1));
    return *view;
  }
  const Standing& of(JobId job) {
    const Standing* const standing = look().find(job);
    REQUIRE(standing != nullptr);
    return *standing;
  }
  JobId busy;
  std::shared_ptr<const StandingsView> view;
};

}  // namespace

TEST_CASE("a place counts from one, and says whose jobs come before") {
  Class world;
  const JobId a1 = world.submit(1), b1 = world.submit(2), a2 = world.submit(1);
  CHECK(world.of(a1).place == 1);
  CHECK(world.of(b1).place == 2);
  const Standing& last = world.of(a2);
  CHECK(last.place == 3);
  CHECK(last.own_ahead == 1);
  CHECK(last.jobs_ahead == 1);
  CHECK(last.people_ahead == 1);
  REQUIRE(last.ready.has_value());
  CHECK(last.ready->early > 0);
  CHECK(last.ready->late > last.ready->early);
  CHECK(world.of(world.busy).place == 0);
  CHECK(world.of(world.busy).ready.has_value());
}

TEST_CASE("a job that a copy has twice has one standing and one place") {
  Class world;
  const JobId first = world.submit(1), second = world.submit(2);
  core::QueueCopier copier(world.core, world.now, {}, {});
  REQUIRE(copier.more(1));
  world.computed(world.busy, 1'000);
  world.ended(world.busy);
  world.settle();
  REQUIRE_FALSE(copier.more(10));
  const core::QueueCopy copy = copier.finish();
  REQUIRE(copy.slots.front().job == first);
  REQUIRE(copy.rows.size() == 2);
  const StandingsView view = make_standings(copy, core::EtaErrors{}.spread(world.now), nullptr, 1);
  CHECK(view.jobs.size() == 2);
  CHECK(view.order == std::vector<JobId>{second});
  REQUIRE(view.find(first)->ready.has_value());
  CHECK(view.find(first)->place == 0);
  CHECK(view.find(first)->ready->early < view.find(second)->ready->early);
}

TEST_CASE("who presses Run while a copy is made is a newcomer in the next one, whatever of it was copied") {
  Class world(QueueMode::priority);
  for (int i = 0; i < 3; ++i) world.submit(5);
  const JobId last = world.submit(6);
  world.look();
  core::QueueCopier copier(world.core, world.now, {}, {});
  REQUIRE(copier.more(2));
  core::Submitted urgent;
  urgent.participant = ParticipantId{1};  // whose lane would have been before
  urgent.prompt_id = "urgent";
  urgent.classes = {"A"};
  urgent.priority = core::PriorityLevel::high;
  world.post(urgent);
  const JobId newest = world.submit(7);  // is copied
  REQUIRE_FALSE(copier.more(10));
  world.view = std::make_shared<StandingsView>(
      make_standings(copier.finish(), core::EtaErrors{}.spread(world.now), world.view.get(), 1));
  REQUIRE(world.view->find(newest) != nullptr);
  const Standing worse = world.of(last);
  CHECK(worse.worse.cause == WorseCause::pressed_run);
  CHECK(worse.worse.people == 1);
}

TEST_CASE("nothing is foretold while the queue is paused or no worker takes jobs") {
  Class world;
  const JobId job = world.submit(1);
  world.post(core::Paused{true, "test"});
  CHECK_FALSE(world.of(job).ready.has_value());
  CHECK(world.of(job).place == 1);
  world.post(core::Paused{false, "test"});
  CHECK(world.of(job).ready.has_value());
}

TEST_CASE("in fair turns a place gets worse when people who had less press Run, and it says so") {
  Class world(QueueMode::round_robin);
  world.submit(1);
  const JobId second = world.submit(1);
  CHECK(world.of(second).worse.cause == WorseCause::none);
  CHECK(world.of(second).place == 2);
  world.submit(2);
  world.submit(3);
  const Standing worse = world.of(second);
  CHECK(worse.place == 4);
  CHECK(worse.worse.cause == WorseCause::pressed_run);
  CHECK(worse.worse_from == 2);
  CHECK(worse.worse.people == 2);
  // Until its place changes again.
  CHECK(world.of(second).worse.cause == WorseCause::pressed_run);
}

TEST_CASE("a move, a change of the mode and a job that comes back are told as such") {
  Class world;
  const JobId a1 = world.submit(1), a2 = world.submit(1), b1 = world.submit(2), c1 = world.submit(3);
  world.look();
  core::Moved move;
  move.job = c1;
  world.post(move);
  CHECK(world.of(a1).worse.cause == WorseCause::moved);
  CHECK(world.of(a1).worse.jobs == 1);
  world.post(core::JobHeld{c1, "test"});
  CHECK(world.of(a1).worse.cause == WorseCause::none);  // better: no message
  world.post(core::JobReleased{c1, "test"});
  CHECK(world.of(a1).worse.cause == WorseCause::came_back);
  world.post(core::MoveUndone{c1, "test"});
  world.look();
  world.post(core::ModeChanged{QueueMode::round_robin, "test"});
  CHECK(world.of(a2).worse.cause == WorseCause::mode);
  CHECK(world.of(b1).worse.cause == WorseCause::none);
}

TEST_CASE("one's own job and the instructor's are not called other people") {
  Class world;
  const JobId a = world.submit(1);
  world.look();
  core::Submitted front;
  front.participant = ParticipantId{1};
  front.prompt_id = "front";
  front.front = true;
  front.classes = {"A"};
  world.post(front);
  CHECK(world.of(a).worse.cause == WorseCause::own);
  world.submit(0);
  const Standing& behind = world.of(a);
  CHECK(behind.worse.cause == WorseCause::instructor);
  CHECK(behind.people_ahead == 0);
  CHECK(behind.jobs_ahead == 1);
}

TEST_CASE("only what takes a slot that a job could have is said to come before it") {
  Class world;
  core::Capability other;
  other.hash = Class::digest(2);
  other.classes = {"C"};
  world.post(other);
  core::WorkerJoined joined;
  joined.name = "other";
  joined.boot = Key128{5, 5};
  joined.slots.emplace_back().capability = other.hash;
  world.post(joined);
  const JobId there = world.submit(8, {}, {"C"});
  world.settle();
  world.started(there);
  const JobId a = world.submit(1), c = world.submit(2, {}, {"C"}), b = world.submit(3);
  CHECK(world.of(c).place > 0);
  CHECK(world.of(c).ahead.others == 0);
  CHECK(world.core.worker(world.of(c).starts_on)->name == "other");
  CHECK(world.of(b).ahead.others == 1);
  CHECK(world.of(b).ahead.before == 1);
  CHECK(world.core.worker(world.of(b).starts_on)->name == "gpu");
  CHECK(world.of(a).ahead.others == 0);
  CHECK(world.of(a).starts_in > 0);
}

TEST_CASE("what comes before a job is told apart by whose it is and why") {
  Class world(QueueMode::round_robin);
  for (const std::uint64_t participant : {4U, 5U}) {
    world.computed(world.busy, 10'000);
    world.ended(world.busy);
    world.busy = world.submit(participant);
    world.settle();
    world.started(world.busy);
  }
  const JobId own = world.submit(4), job = world.submit(4), fresh = world.submit(6), listed = world.submit(7);
  const JobId example = world.submit(0);
  core::Moved move;
  move.job = listed;
  world.post(move);
  const Standing standing = world.of(job);
  CHECK(standing.ahead.own == 1);
  CHECK(standing.ahead.listed == 1);
  CHECK(standing.ahead.instructor == 1);
  CHECK(standing.ahead.others == 1);
  CHECK(standing.ahead.people == 1);
  CHECK(standing.ahead.less_used == 1);
  CHECK(standing.ahead.before == 0);
  CHECK_FALSE(standing.listed);
  CHECK(world.of(listed).listed);
  CHECK(world.of(fresh).ahead.less_used == 0);
  CHECK(world.of(own).ahead.own == 0);
  CHECK(world.of(example).ahead.instructor == 0);
}

namespace {

/// Two workers, both busy, with runs of a minute; nobody has submitted anything lately, and ten jobs wait.
struct Line : Class {
  explicit Line(QueueMode mode = QueueMode::fifo) : Class(mode) {
    join("second");
    JobId other = submit(8);
    settle();
    started(other);
    for (JobId* const job : {&busy, &other}) {
      computed(*job, 60'000);
      ended(*job);
      *job = submit(job == &busy ? 9 : 8);
      settle();
      started(*job);
    }
    now = now + milliseconds{16 * 60'000};
    for (JobId* const job : {&busy, &other}) {
      computed(*job, 60'000);
      ended(*job);
      *job = submit(job == &busy ? 9 : 8);
      settle();
      started(*job);
    }
    for (std::uint64_t i = 1; i <= 10; ++i) last = submit(i);
    now = now + milliseconds{30'000};
    second = core.worker("second")->worker;
    told = *of(last).ready;
  }
  JobId last;
  WorkerId second;
  Standing::Ready told;
};

}  // namespace

TEST_CASE("a range that moves by little stays as it was told, and time alone makes it nearer") {
  Line world;
  world.now = world.now + milliseconds{5'000};
  const Standing standing = world.of(world.last);
  REQUIRE(standing.ready.has_value());
  CHECK(standing.ready->late == world.told.late - 5'000);
  CHECK(standing.ready->early == world.told.early - 5'000);
  CHECK(standing.later.cause == WorseCause::none);
}

TEST_CASE("a job that will be ready later is told by which worker, until it will be sooner") {
  Line world;
  world.post(core::WorkerPaused{world.second, true, "test"});
  Standing standing = world.of(world.last);
  CHECK(standing.ready->late > world.told.late);
  CHECK(standing.later.cause == WorseCause::worker);
  CHECK(standing.later.worker == world.second);
  CHECK(standing.later.away == core::Obstacle::worker_paused);
  CHECK(standing.worse.cause == WorseCause::none);
  CHECK(world.of(world.last).later.cause == WorseCause::worker);
  world.post(core::WorkerPaused{world.second, false, "test"});
  CHECK(world.of(world.last).later.cause == WorseCause::none);
  world.post(core::WorkerDraining{world.second, true, "test"});
  CHECK(world.of(world.last).later.away == core::Obstacle::worker_drains);
  world.post(core::WorkerDraining{world.second, false, "test"});
  CHECK(world.of(world.last).later.cause == WorseCause::none);
  world.post(core::WorkerLeft{world.second, world.core.worker(world.second)->link, "test"});
  standing = world.of(world.last);
  CHECK(standing.later.cause == WorseCause::worker);
  CHECK(standing.later.away == core::Obstacle::pinned_away);
}

TEST_CASE("what was told before a pause or a hold is compared with what is told after it") {
  Line world;
  SUBCASE("of the queue") {
    world.post(core::Paused{true, "test"});
    CHECK_FALSE(world.of(world.last).ready.has_value());
    world.now = world.now + milliseconds{600'000};
    world.post(core::Paused{false, "test"});
    CHECK(world.of(world.last).later.cause == WorseCause::paused);
  }
  SUBCASE("of the owner") {
    world.post(core::ParticipantHeld{ParticipantId{10}, true, "test"});
    CHECK_FALSE(world.of(world.last).ready.has_value());
    world.now = world.now + milliseconds{600'000};
    world.post(core::ParticipantHeld{ParticipantId{10}, false, "test"});
    CHECK(world.of(world.last).later.cause == WorseCause::held);
  }
  SUBCASE("of all workers") {
    world.post(core::WorkerPaused{world.second, true, "test"});
    world.post(core::WorkerPaused{world.core.worker("gpu")->worker, true, "test"});
    CHECK_FALSE(world.of(world.last).ready.has_value());
    world.now = world.now + milliseconds{600'000};
    world.post(core::WorkerPaused{world.second, false, "test"});
    const Worse later = world.of(world.last).later;
    CHECK(later.cause == WorseCause::worker);
    CHECK(later.away == core::Obstacle::worker_paused);
  }
}

TEST_CASE("a run that takes longer than expected is the cause of what is ready later") {
  Line world;
  world.now = world.now + milliseconds{400'000};
  const Standing standing = world.of(world.last);
  CHECK(standing.ready->late > world.told.late - 400'000);
  CHECK(standing.later.cause == WorseCause::overdue);
  CHECK(standing.worse.cause == WorseCause::none);
}

TEST_CASE("jobs that go first make it later, too, and both have the same cause") {
  Line world;
  for (int i = 0; i < 4; ++i) {
    core::Moved move;
    move.job = world.submit(11);
    world.post(move);
  }
  const Standing standing = world.of(world.last);
  CHECK(standing.worse.cause == WorseCause::pressed_run);
  CHECK(standing.later == standing.worse);
}

TEST_CASE("a weight that changes and a priority that rises are told as such") {
  SUBCASE("weight") {
    Line world(QueueMode::round_robin);
    const JobId first = world.submit(12), next = world.submit(12);
    world.look();
    const JobId own = world.view->order.back();
    REQUIRE(own == next);
    const std::uint32_t before = world.of(world.last).place;
    CHECK(before < world.of(next).place);
    core::ParticipantLimits limits;
    limits.participant = ParticipantId{12};
    limits.weight_milli = 100'000;
    world.post(limits);
    const Standing standing = world.of(world.last);
    CHECK(standing.place > before);
    CHECK(standing.worse.cause == WorseCause::shares);
    CHECK(first);
  }
  SUBCASE("priority") {
    Line world(QueueMode::priority);
    const JobId behind = world.submit(12);
    world.look();
    world.post(core::JobChanged{behind, core::PriorityLevel::high, {}, {}, "test"});
    const Standing standing = world.of(world.last);
    CHECK(standing.worse.cause == WorseCause::raised);
    CHECK(standing.worse.jobs == 1);
  }
}

TEST_CASE("who pressed Run is said to have used less only if it is so") {
  Class world(QueueMode::round_robin);
  world.submit(1);
  const JobId second = world.submit(1);
  world.look();
  world.submit(2);
  CHECK(world.of(second).worse.cause == WorseCause::pressed_run);
  CHECK_FALSE(world.of(second).worse.less_used);
  Class used(QueueMode::round_robin);
  used.computed(used.busy, 60'000);
  used.ended(used.busy);
  used.busy = used.submit(8);
  used.settle();
  const JobId job = used.submit(9);
  used.look();
  used.submit(2);
  CHECK(used.of(job).worse.cause == WorseCause::pressed_run);
  CHECK(used.of(job).worse.less_used);
}
