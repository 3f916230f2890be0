// SPDX-License-Identifier: MIT
// What a participant is told of the jobs that wait: `atelier.queue`.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "unit/gateway/fake_socket.hpp"

namespace atelier::gateway::test {
namespace {

/// A browser of participant 7, which hears where its jobs stand.
struct Waiting {
  Waiting() : tab(rig, 7, "mine") { hear(); }
  /// What was pushed in the last seconds.
  std::vector<boost::json::object> hear(milliseconds time = milliseconds{2'500}) {
    rig.runtime.advance(time);
    std::vector<boost::json::object> pushed;
    for (const std::string& message : tab.take()) {
      if (message.starts_with('<')) continue;
      const auto value = comfy::Json::parse(message).value().value();
      if (value.at("type") == "atelier.queue") pushed.push_back(value.at("data").as_object());
    }
    return pushed;
  }
  /// Of the newest push: its only job.
  boost::json::object job() {
    const auto pushed = hear();
    REQUIRE_FALSE(pushed.empty());
    const auto& jobs = pushed.back().at("jobs").as_array();
    REQUIRE(jobs.size() == 1);
    return jobs[0].as_object();
  }
  std::string reason() { return text(job().at("reason")); }
  Rig rig;
  Tab tab;
};

TEST_CASE("a job that waits is told its place, when it will be ready, and why it waits") {
  Waiting room;
  const JobId other = room.rig.submit(8, uuid(1));
  room.rig.submit(7, uuid(2));
  auto job = room.job();
  CHECK(text(job.at("prompt_id")) == uuid(2));
  CHECK(job.at("eta_ms").is_null());
  CHECK(text(job.at("reason")) == "No GPU is connected. Your job is kept and starts when one arrives.");
  room.rig.join();
  job = room.job();
  CHECK(job.at("place") == 1);
  CHECK(job.at("of") == 1);
  CHECK(text(job.at("reason")) == "It is next when a GPU is free.");
  REQUIRE(job.at("eta_ms").is_array());
  const auto& eta = job.at("eta_ms").as_array();
  CHECK(eta[0].as_int64() % 60'000 == 0);
  CHECK(eta[1].as_int64() > eta[0].as_int64());
  // It starts: nothing waits any more.
  room.rig.finish(other);
  const auto pushed = room.hear();
  REQUIRE_FALSE(pushed.empty());
  CHECK(pushed.back().at("jobs").as_array().empty());
}

TEST_CASE("places are pushed when they change, and no more than once a second") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(7, uuid(2));
  room.hear();
  CHECK(room.hear(milliseconds{20'000}).size() <= 1);  // the time alone moves the range by a step
  for (int n = 3; n < 43; ++n) room.rig.submit(n % 2 == 0 ? 7 : 8, uuid(n));
  std::size_t pushed = 0;
  for (int i = 0; i < 30; ++i) pushed += room.hear(milliseconds{100}).size();
  CHECK(pushed >= 1);
  CHECK(pushed <= 4);
}

TEST_CASE("a socket that opens is told at once, alone, and hurries nothing for the others") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(7, uuid(2));
  REQUIRE_FALSE(room.hear().empty());
  std::vector<std::int64_t> times;
  for (int step = 0; step < 60; ++step) {  // six seconds, in which everything changes
    if (step % 3 == 0) {
      room.rig.submit(8 + step % 2, uuid(100 + step));
      room.rig.record(core::Paused{step % 2 == 0, "test"});
      Tab other(room.rig, step % 6 == 0 ? 7 : 9, fmt::format("tab {}", step));
      room.rig.runtime.run_ready();
      CHECK(std::ranges::any_of(
          other.take(), [](const std::string& message) { return message.contains("atelier.queue"); }));
    }
    for (std::size_t n = room.hear(milliseconds{100}).size(); n > 0; --n) times.push_back(step * 100);
  }
  CHECK(times.size() >= 2);
  for (std::size_t i = 1; i < times.size(); ++i) CHECK(times[i] - times[i - 1] >= 1'000);
}

TEST_CASE("what changes within the second after a push is sent when it is over") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  const JobId job = room.rig.submit(7, uuid(2));
  room.hear();
  room.rig.record(core::JobHeld{job, "test"});
  Tab tab(room.rig, 7, "second");  // the next push is a second away
  CHECK(room.hear(milliseconds{900}).empty());
  const auto pushed = room.hear(milliseconds{300});
  REQUIRE(pushed.size() == 1);
  CHECK(text(pushed[0].at("jobs").at(0).at("reason")).starts_with("It is on hold."));
}

TEST_CASE("each thing that keeps a job waiting has its sentence") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(9, uuid(2));
  const JobId job = room.rig.submit(7, uuid(3));
  CHECK(room.reason() == "1 job came before yours.");
  room.rig.record(core::ModeChanged{core::QueueMode::round_robin, "test"});
  CHECK(room.reason() == "1 person ahead of you has used less GPU time today.");
  room.rig.record(core::Paused{true, "test"});
  CHECK(room.reason() == "The instructor has paused the queue. You can press Run; your place is kept.");
  room.rig.record(core::Paused{false, "test"});
  room.hear();
  room.rig.record(core::JobHeld{job, "test"});
  CHECK(room.reason() == "It is on hold. Your workflow is unchanged; it keeps its place.");
  room.rig.record(core::JobReleased{job, "test"});
  room.hear();
  room.rig.record(core::ParticipantHeld{ParticipantId{7}, true, "test"});
  CHECK(room.reason() == "The instructor has put your jobs on hold. You can press Run; your place is kept.");
  room.rig.record(core::ParticipantHeld{ParticipantId{7}, false, "test"});
  room.hear();
  core::JobChanged pinned;
  pinned.job = job;
  pinned.pinned_worker = "gpu-2";
  room.rig.record(pinned);
  CHECK(room.reason() == "This job waits for gpu-2, which was chosen for it.");
}

TEST_CASE("a place that gets worse comes with its cause, one that gets better without") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(7, uuid(2));
  CHECK_FALSE(room.job().contains("cause"));
  const JobId other = room.rig.submit(9, uuid(3));
  core::Moved move;
  move.job = other;
  room.rig.record(move);
  const auto worse = room.job();
  CHECK(worse.at("place") == 2);
  CHECK(text(worse.at("cause")).starts_with("Now 2nd, was 1st: "));
  room.rig.record(core::JobHeld{other, "test"});
  const auto better = room.job();
  CHECK(better.at("place") == 1);
  CHECK_FALSE(better.contains("cause"));
}

}  // namespace
}  // namespace atelier::gateway::test
