// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "simulate/replay.hpp"
#include "simulate/report.hpp"

using namespace atelier;            // NOLINT: tests
using namespace atelier::simulate;  // NOLINT: tests

namespace {

/// Two workers, the second half as fast; a lease runs out after 1,000 ms, sets a and b load in 100.
Trace trace_of(std::vector<Submission> submissions, std::vector<Fault> faults = {}) {
  Trace trace;
  trace.name = "test";
  trace.lease_ms = 1'000;
  trace.jain_window_ms = 60'000;
  trace.participants = 3;
  trace.workers = {{"fast", "H", 1000}, {"slow", "L", 500}};
  trace.model_sets = {{"a", 100}, {"b", 100}};
  trace.signatures = {{"a|1", 0, false}, {"b|1", 1, false}};
  trace.submissions = std::move(submissions);
  trace.faults = std::move(faults);
  return trace;
}

Schedule fifo(const Trace& trace) { return replay(trace, {core::QueueMode::fifo, {}, false}); }

/// "job@worker#epoch lease-start-end outcome [requeued]" of each run.
std::vector<std::string> told(const Schedule& schedule) {
  std::vector<std::string> lines;
  for (const Run& run : schedule.runs) {
    const char* const outcome = run.outcome == RunOutcome::committed ? "committed"
                                : run.outcome == RunOutcome::lost    ? "lost"
                                                                     : "refused";
    std::string line = fmt::format("{}@{}#{} {}-{}-{} {}", run.job, run.worker, run.epoch, run.lease,
                                   run.start, run.end, outcome);
    if (run.requeued >= 0) line += fmt::format(" {}", run.requeued);
    lines.push_back(line);
  }
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("the fastest idle worker is taken, unless another holds the models") {
  const Trace trace = trace_of({{0, 1, 0, 1'000}, {0, 2, 1, 1'000}, {5'000, 1, 1, 1'000}});
  CHECK(told(fifo(trace)) ==
        Lines{"0@0#1 0-100-1100 committed", "1@1#1 0-100-2100 committed", "2@1#1 5000-5000-7000 committed"});
}

TEST_CASE("the job of a dead worker is given away when its lease runs out, or its worker is back") {
  const Submission job{0, 1, 0, 5'000};
  CHECK(told(fifo(trace_of({job}, {{500, 0, FaultKind::death}}))) ==
        Lines{"0@0#1 0-100-500 lost 1500", "0@1#2 1500-1600-11600 committed"});
  CHECK(told(fifo(trace_of({job}, {{500, 0, FaultKind::death}, {900, 0, FaultKind::comes_back}}))) ==
        Lines{"0@0#1 0-100-500 lost 900", "0@0#2 900-1000-6000 committed"});
}

TEST_CASE(
    "a worker that cannot be reached commits when it is back in time, else its ghost comes to nothing") {
  const Submission job{0, 1, 0, 5'000};
  const auto lost_at = [&](std::int64_t from, std::int64_t to) {
    return told(fifo(trace_of({job}, {{from, 0, FaultKind::partition}, {to, 0, FaultKind::heal}})));
  };
  CHECK(lost_at(500, 1'000) == Lines{"0@0#1 0-100-5100 committed"});
  CHECK(lost_at(4'500, 5'300) == Lines{"0@0#1 0-100-5300 committed"});
  CHECK(lost_at(500, 3'000) == Lines{"0@0#1 0-100-3000 lost 1500", "0@1#2 1500-1600-11600 committed"});
  CHECK(lost_at(500, 6'000) == Lines{"0@0#1 0-100-5100 refused 1500", "0@1#2 1500-1600-11600 committed"});
}

TEST_CASE("faults of one worker may overlap") {
  const std::vector<Submission> one{{0, 1, 0, 5'000}};
  const auto with = [&](std::vector<Fault> faults) {
    Trace trace = trace_of(one, std::move(faults));
    trace.workers.pop_back();
    return told(fifo(trace));
  };
  using enum FaultKind;
  // It came back while nobody could reach it: its job is known to be lost when it can be reached.
  CHECK(with({{100, 0, partition}, {300, 0, death}, {500, 0, comes_back}, {700, 0, heal}}) ==
        Lines{"0@0#1 0-100-300 lost 700", "0@0#2 700-800-5800 committed"});
  CHECK(with({{300, 0, death}, {400, 0, partition}, {500, 0, comes_back}, {700, 0, heal}}) ==
        Lines{"0@0#1 0-100-300 lost 700", "0@0#2 700-800-5800 committed"});
  // Each silence has a lease of its own.
  CHECK(with({{100, 0, partition}, {300, 0, heal}, {900, 0, partition}, {1'500, 0, heal}}) ==
        Lines{"0@0#1 0-100-5100 committed"});
}

TEST_CASE("a draining worker ends its job and gets no other") {
  const Trace trace = trace_of({{0, 1, 0, 1'000}, {10, 2, 0, 1'000}, {20, 3, 0, 1'000}},
                               {{5, 0, FaultKind::drain}, {9'000, 0, FaultKind::undrain}});
  CHECK(told(fifo(trace)) ==
        Lines{"0@0#1 0-100-1100 committed", "1@1#1 10-110-2110 committed", "2@1#1 2110-2110-4110 committed"});
}

TEST_CASE("an equal share for equal people has no lag, and one who gets all leaves the others behind") {
  std::vector<Submission> submissions;
  for (std::uint64_t i = 0; i < 40; ++i) submissions.push_back({0, 1 + i / 20, 0, 1'000});
  Trace trace = trace_of(submissions);
  trace.workers.pop_back();
  const Report first = make_report(trace, fifo(trace));
  CHECK(first.errors.empty());
  CHECK(first.service_lag_max == 10'000);  // half of the first one's twenty seconds
  CHECK(first.service_lag_participant == 2);
  const Report fair = make_report(trace, replay(trace, {core::QueueMode::round_robin, {}, false}));
  CHECK(fair.service_lag_max <= 1'000);
  CHECK(fair.makespan == first.makespan);
  CHECK(fair.gpu_work == 40'000);
}
