// SPDX-License-Identifier: MIT
#include "gateway/instructor/api_views.hpp"

#include <doctest/doctest.h>

#include <utility>

#include "core/core.hpp"

namespace atelier::gateway {
namespace {

/// Entries whose two clocks are set by hand.
struct Clocks {
  void record(core::Event event, std::int64_t time_ms, std::int64_t wall_ms) {
    core::Entry entry;
    entry.sequence = Sequence{++sequence};
    entry.time = {time_ms};
    entry.wall = {wall_ms};
    entry.event = std::move(event);
    [[maybe_unused]] const auto effects = core.apply(entry);
  }
  std::string view() { return job_view(core, *core.job(JobId{1}), clock); }
  core::Core core;
  WallClock clock;
  std::uint64_t sequence = 0;
};

}  // namespace

TEST_CASE("when a job will be cancelled does not waver with what is recorded meanwhile") {
  Clocks clocks;
  core::Submitted submitted;
  submitted.participant = ParticipantId{1};
  submitted.prompt_id = "one";
  clocks.record(submitted, 1'000, 501'000);
  core::CancelScheduled cancel;
  cancel.job = JobId{1};
  cancel.at = {12'345};
  clocks.record(cancel, 2'345, 502'345);
  const std::string told = clocks.view();
  CHECK_MESSAGE(told.find(R"("cancel_at":512345,)") != std::string::npos, told);
  clocks.record(core::Paused{true, "test"}, 3'000, 503'001);
  CHECK(clocks.view() == told);
  clocks.record(core::Paused{false, "test"}, 4'001, 504'000);
  CHECK(clocks.view() == told);
  // Somebody set the clock.
  clocks.record(core::Paused{true, "test"}, 5'000, 565'000);
  const std::string later = clocks.view();
  CHECK_MESSAGE(later.find(R"("cancel_at":572345,)") != std::string::npos, later);
}

}  // namespace atelier::gateway
