// SPDX-License-Identifier: MIT
#include "core/forecast.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "core/eta_errors.hpp"
#include "support/core_world.hpp"

using namespace atelier;        // NOLINT: tests
using namespace atelier::core;  // NOLINT: tests

namespace {

/// Jobs of class A have taken 1,000 ms each; the worker is free.
struct Known : CoreWorld {
  Known() {
    join("gpu");
    for (int i = 0; i < 10; ++i) run(submit(9), 1'000);
  }
  void run(JobId job, std::uint64_t gpu_ms) {
    settle();
    started(job);
    computed(job, gpu_ms);
    ended(job);
  }
  std::vector<JobForecast> foretell(std::uint64_t seed = 1, JobId only = {}) {
    return forecast(core.copy_queue(now), {.seed = seed, .only = only});
  }
  std::int64_t middle_of(JobId job) {
    const std::vector<JobForecast> jobs = foretell(1, job);
    REQUIRE(jobs.size() == 1);
    REQUIRE_FALSE(jobs[0].ready_ms.empty());
    return jobs[0].middle_ms();
  }
  /// Nobody pressed Run lately: what is mirrored into the future.
  void forget_arrivals() { now = now + milliseconds{16 * 60'000}; }
};

}  // namespace

TEST_CASE("each job is foretold to be ready when those before it and its own run are over") {
  Known world;
  world.forget_arrivals();
  const JobId first = world.submit(1), second = world.submit(2), third = world.submit(1);
  world.settle();
  world.started(first);
  world.now = world.now + milliseconds{400};
  const std::vector<JobForecast> jobs = world.foretell();
  REQUIRE(jobs.size() == 3);
  CHECK(jobs[0].job == first);
  CHECK(jobs[2].job == third);
  CHECK(std::abs(jobs[0].middle_ms() - 600) < 20);
  CHECK(std::abs(jobs[1].middle_ms() - 1'600) < 40);
  CHECK(std::abs(jobs[2].middle_ms() - 2'600) < 60);
  CHECK(world.middle_of(second) == jobs[1].middle_ms());
}

TEST_CASE("one that has outrun all that were seen is expected to take half as long again") {
  Known world;
  world.forget_arrivals();
  const JobId job = world.submit(1);
  world.settle();
  world.started(job);
  world.now = world.now + milliseconds{3'000};
  CHECK(std::abs(world.middle_of(job) - 1'500) < 10);
}

TEST_CASE("run times are drawn from those seen, the same with the same seed") {
  Known world;
  for (int i = 0; i < 10; ++i) world.run(world.submit(9), 5'000);
  world.forget_arrivals();
  const JobId job = world.submit(1);
  const auto ready = world.foretell(7, job)[0].ready_ms;
  CHECK(ready.front() < 1'100);
  CHECK(ready.back() > 4'900);
  CHECK(world.foretell(7, job)[0].ready_ms == ready);
}

TEST_CASE("what was submitted lately is expected to be submitted again") {
  const auto foretold = [](bool lately) {
    Known world;
    world.post(ModeChanged{QueueMode::round_robin, "test"});
    for (int i = 0; i < 10; ++i) world.run(world.submit(9), 10'000);
    if (!lately) world.forget_arrivals();
    const JobId running = world.submit(8);
    world.settle();
    world.started(running);
    for (int i = 0; i < 5; ++i) world.submit(1);
    return world.middle_of(world.submit(1));
  };
  CHECK(foretold(true) > foretold(false) + 10'000);
}

TEST_CASE("held people, held jobs and jobs that no worker can run are foretold nothing") {
  Known world;
  const JobId busy = world.submit(5);
  world.settle();
  const JobId held = world.submit(1), of_held = world.submit(2), unable = world.submit(3, {}, {"Z"});
  const JobId other = world.submit(4);
  world.post(JobHeld{held, "test"});
  world.post(ParticipantHeld{ParticipantId{2}, true, "test"});
  for (const JobForecast& job : world.foretell()) {
    CAPTURE(job.job.value);
    CHECK(job.job != held);  // it does not wait
    CHECK(job.ready_ms.empty() == (job.job == of_held || job.job == unable));
  }
  CHECK(starting_order(world.core.copy_queue(world.now)) == std::vector<JobId>{other});
  CHECK(busy);
}

TEST_CASE("the starting order is the mode's, the instructor's list and own jobs first") {
  Known world;
  const JobId busy = world.submit(5);
  world.settle();
  const JobId a1 = world.submit(1), a2 = world.submit(1), b1 = world.submit(2), own = world.submit(0);
  const auto order = [&] { return starting_order(world.core.copy_queue(world.now)); };
  CHECK(order() == std::vector<JobId>{own, a1, a2, b1});
  world.post(ModeChanged{QueueMode::round_robin, "test"});
  CHECK(order() == std::vector<JobId>{own, a1, b1, a2});
  world.post(JobChanged{a2, PriorityLevel::high, {}, {}, "test"});
  world.post(ModeChanged{QueueMode::priority, "test"});
  CHECK(order() == std::vector<JobId>{own, a2, a1, b1});
  Moved move;
  move.job = b1;
  world.post(move);
  CHECK(order() == std::vector<JobId>{b1, own, a2, a1});
  CHECK(busy);
}

TEST_CASE("a copy made in pieces has every job once, and what happens meanwhile is in it or not") {
  Known world;
  const JobId busy = world.submit(5);
  world.settle();
  world.started(busy);
  std::vector<JobId> jobs;
  for (std::uint64_t i = 0; i < 40; ++i) jobs.push_back(world.submit(i % 3));
  const std::vector<JobId> order = starting_order(world.core.copy_queue(world.now));
  REQUIRE(order.size() == jobs.size());
  for (const std::size_t rows : {1U, 7U, 13U, 39U, 40U, 41U}) {
    CAPTURE(rows);
    QueueCopier copier(world.core, world.now, {}, {});
    std::size_t pieces = 1;
    while (copier.more(rows)) ++pieces;
    CHECK(pieces == (jobs.size() + rows - 1) / rows);
    CHECK(starting_order(copier.finish()) == order);
  }

  QueueCopier copier(world.core, world.now, {}, {});
  REQUIRE(copier.more(20));  // all of participant 0's, and the first six of participant 1
  world.computed(busy, 1'000);
  world.ended(busy);
  world.settle();  // the first job of participant 0 starts, and was copied as waiting
  for (const std::size_t cancelled :
       {4U, 16U, 19U, 38U})  // 4 was copied, 16 as the last, 19 would be the next
    world.post(CancelRequested{jobs[cancelled], "test"});
  const JobId fresh = world.submit(2);
  REQUIRE(copier.more(10));
  REQUIRE_FALSE(copier.more(20));
  const QueueCopy copy = copier.finish();
  std::vector<JobId> copied;
  for (const QueueCopy::Row& row : copy.rows) copied.push_back(row.job);
  std::ranges::sort(copied);
  std::vector<JobId> expected = jobs;
  std::erase(expected, jobs[19]);
  std::erase(expected, jobs[38]);
  expected.push_back(fresh);
  CHECK(copied == expected);
  const std::vector<JobForecast> foretold = forecast(copy, {.seed = 1, .only = {}});
  CHECK(foretold.size() == copied.size());
  CHECK(foretold.front().job == jobs[0]);  // the one that runs by now
  CHECK(foretold.front().middle_ms() < foretold[3].middle_ms());
}

TEST_CASE("what comes between two pieces does not mix up lanes, nor whom the instructor has moved") {
  Known world;
  const JobId busy = world.submit(5);
  world.settle();
  world.started(busy);
  std::vector<JobId> jobs;
  for (std::uint64_t i = 0; i < 6; ++i) jobs.push_back(world.submit(1 + i / 3));
  const auto rows_of = [](const QueueCopy& copy, std::size_t lane) {
    std::vector<JobId> rows;
    for (std::uint32_t i = 0; i < copy.lanes[lane].count; ++i)
      rows.push_back(copy.rows[copy.lanes[lane].first + i].job);
    return rows;
  };
  QueueCopier copier(world.core, world.now, {}, {});
  REQUIRE(copier.more(3));  // the lane of participant 1
  const JobId first = world.submit(1), second = world.submit(2);
  REQUIRE(copier.more(3));
  REQUIRE_FALSE(copier.more(10));
  const QueueCopy copy = copier.finish();
  CHECK(rows_of(copy, 0) == std::vector<JobId>{jobs[0], jobs[1], jobs[2], first});
  CHECK(rows_of(copy, 1) == std::vector<JobId>{jobs[3], jobs[4], jobs[5], second});
  CHECK(copy.newest == jobs[5]);

  Moved move;
  move.job = second;
  world.post(move);
  QueueCopier other(world.core, world.now, {}, {});
  REQUIRE(other.more(2));
  world.post(JobReordered{.job = jobs[0], .number = world.core.job(first)->number + 1, .by = "test"});
  REQUIRE_FALSE(other.more(100));
  const QueueCopy twice = other.finish();
  CHECK(twice.rows.size() == 9);  // one of them twice
  REQUIRE(twice.moved.size() == 1);
  CHECK(twice.rows[twice.moved[0]].job == second);
}

TEST_CASE("who has a cap and whose job ends while a copy is made may start another one") {
  Known world;
  ParticipantLimits limits;
  limits.participant = ParticipantId{1};
  limits.running_max = 1;
  world.post(limits);
  const JobId running = world.submit(1);
  world.settle();
  world.started(running);
  const JobId next = world.submit(1);
  for (int i = 0; i < 3; ++i) world.submit(2);
  QueueCopier copier(world.core, world.now, {}, {});
  REQUIRE(copier.more(2));
  world.computed(running, 1'000);
  world.ended(running);
  REQUIRE_FALSE(copier.more(10));
  CHECK(starting_order(copier.finish()).front() == next);
}

TEST_CASE("a copy begins anew when the mode changes between two pieces") {
  Known world;
  const JobId busy = world.submit(5);
  world.settle();
  world.started(busy);
  for (std::uint64_t i = 0; i < 6; ++i) {
    const JobId job = world.submit(1);
    if (i % 2 == 0) world.post(JobChanged{job, PriorityLevel::high, {}, {}, "test"});
  }
  QueueCopier copier(world.core, world.now, {}, {});
  REQUIRE(copier.more(2));
  world.post(ModeChanged{QueueMode::priority, "test"});
  REQUIRE_FALSE(copier.more(2));  // at once
  const QueueCopy copy = copier.finish();
  CHECK(copy.mode == QueueMode::priority);
  CHECK(copy.rows.size() == 6);
  CHECK(copy.lanes.size() == 2);
  CHECK(starting_order(copy) == starting_order(world.core.copy_queue(world.now)));
}

TEST_CASE("jobs start in the foretold order when runs take what is expected") {
  for (const QueueMode mode : {QueueMode::fifo, QueueMode::round_robin, QueueMode::priority}) {
    CAPTURE(to_string(mode));
    Known world;
    if (mode != QueueMode::fifo) world.post(ModeChanged{mode, "test"});
    JobId running = world.submit(5);
    world.settle();
    for (int i = 0; i < 30; ++i) world.submit(1 + static_cast<std::uint64_t>(i * i) % 7);
    const std::vector<JobId> order = starting_order(world.core.copy_queue(world.now));
    REQUIRE(order.size() == 30);
    for (const JobId next : order) {
      world.started(running);
      world.computed(running, 1'000);
      world.ended(running);
      world.settle();
      REQUIRE(world.core.job(next)->lease.has_value());
      running = next;
    }
  }
}

TEST_CASE("a cap on running jobs and an allowance hold in the future, too") {
  Known world;
  world.join("second");
  ParticipantLimits limits;
  limits.participant = ParticipantId{1};
  limits.running_max = 1;
  world.post(limits);
  world.forget_arrivals();
  world.submit(1);
  const JobId second = world.submit(1);
  world.settle();
  CHECK(world.middle_of(second) > 1'900);  // one after the other though a worker is free
  limits.running_max = 0;
  limits.allowance_ms = 1;
  world.post(limits);
  world.run(world.submit(1), 1'000);
  const std::vector<JobForecast> jobs = world.foretell(1, second);
  CHECK((world.core.job(second)->lease || jobs[0].ready_ms.empty()));
}

TEST_CASE("the later end of a range is stretched by how wrong forecasts have been, overdue jobs at once") {
  EtaErrors errors;
  const auto stretch = [&](std::int64_t now) { return errors.spread(Time{now}).stretch(10'000); };
  const double before = stretch(0);
  CHECK(before < 1.4);
  for (std::uint64_t i = 1; i <= 50; ++i) {
    errors.foretold(JobId{i}, Time{0}, 10'000);
    errors.ready(JobId{i}, Time{i % 5 == 0 ? 25'000 : 10'000});
  }
  CHECK(stretch(30'000) > 2.4);
  EtaErrors late;
  for (std::uint64_t i = 1; i <= 50; ++i) late.foretold(JobId{i}, Time{0}, 10'000);
  CHECK(late.spread(Time{9'000}).stretch(10'000) == before);
  CHECK(late.spread(Time{30'000}).stretch(10'000) > 3);
  // Gone through in pieces.
  const auto none = [](JobId) { return false; };
  JobId next = late.keep_only({}, 20, none);
  CHECK(next == JobId{21});
  CHECK(late.spread(Time{30'000}).stretch(10'000) > 3);
  next = late.keep_only(next, 20, [](JobId job) { return job == JobId{30}; });
  CHECK(next == JobId{41});
  CHECK(late.keep_only(next, 20, none) == JobId{});
  CHECK(late.spread(Time{30'000}).stretch(10'000) > 1.5);
  late.forget(JobId{30});
  CHECK(late.spread(Time{30'000}).stretch(10'000) == before);
}

TEST_CASE("errors of forecasts about as far away count most") {
  EtaErrors errors;
  for (std::uint64_t i = 1; i <= 50; ++i) {
    errors.foretold(JobId{i}, Time{0}, 1'000);
    errors.ready(JobId{i}, Time{3'000});
    errors.foretold(JobId{100 + i}, Time{0}, 1'000'000);
    errors.ready(JobId{100 + i}, Time{1'000'000});
  }
  const EtaSpread spread = errors.spread(Time{1'000'000});
  CHECK(spread.stretch(1'000) > 2.9);
  CHECK(spread.stretch(1'000'000) < 1.1);
}
