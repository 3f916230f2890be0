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
  CHECK(worse.worse == WorseCause::pressed_run);
  CHECK(worse.worse_people == 1);
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
  CHECK(world.of(second).worse == WorseCause::none);
  CHECK(world.of(second).place == 2);
  world.submit(2);
  world.submit(3);
  const Standing worse = world.of(second);
  CHECK(worse.place == 4);
  CHECK(worse.worse == WorseCause::pressed_run);
  CHECK(worse.worse_from == 2);
  CHECK(worse.worse_people == 2);
  // Until its place changes again.
  CHECK(world.of(second).worse == WorseCause::pressed_run);
}

TEST_CASE("a move, a change of the mode and a job that comes back are told as such") {
  Class world;
  const JobId a1 = world.submit(1), a2 = world.submit(1), b1 = world.submit(2), c1 = world.submit(3);
  world.look();
  core::Moved move;
  move.job = c1;
  world.post(move);
  CHECK(world.of(a1).worse == WorseCause::moved);
  CHECK(world.of(a1).worse_jobs == 1);
  world.post(core::JobHeld{c1, "test"});
  CHECK(world.of(a1).worse == WorseCause::none);  // better: no message
  world.post(core::JobReleased{c1, "test"});
  CHECK(world.of(a1).worse == WorseCause::came_back);
  world.post(core::MoveUndone{c1, "test"});
  world.look();
  world.post(core::ModeChanged{QueueMode::round_robin, "test"});
  CHECK(world.of(a2).worse == WorseCause::mode);
  CHECK(world.of(b1).worse == WorseCause::none);
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
  CHECK(world.of(a).worse == WorseCause::own);
  world.submit(0);
  const Standing& behind = world.of(a);
  CHECK(behind.worse == WorseCause::instructor);
  CHECK(behind.people_ahead == 0);
  CHECK(behind.jobs_ahead == 1);
}
