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
  CHECK(text(job.at("reason")) == "Next when gpu-1 is free, less than 1 min.");
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

TEST_CASE("no place is behind the last one, however fast jobs start") {
  Waiting room;
  room.rig.join();
  std::vector<JobId> jobs;
  for (int n = 1; n < 9; ++n) jobs.push_back(room.rig.submit(7, uuid(n)));
  room.hear(milliseconds{3'000});
  std::size_t told = 0;
  for (const JobId job : jobs) {
    room.rig.finish(job);
    for (const auto& pushed : room.hear(milliseconds{300})) {
      for (const boost::json::value& each : pushed.at("jobs").as_array()) {
        if (each.at("place").is_null()) continue;
        CHECK(each.at("place").as_int64() <= each.at("of").as_int64());
        ++told;
      }
    }
  }
  CHECK(told > 0);
}

TEST_CASE("places are pushed when they change, and no more than once a second") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(7, uuid(2));
  room.hear();
  CHECK(room.hear(milliseconds{20'000}).size() <=
        2);  // the time alone moves the range, and the wait, by a step
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
  CHECK(text(pushed[0].at("jobs").at(0).at("reason")).starts_with("The instructor has put job 2 on hold."));
}

TEST_CASE("each thing that keeps a job waiting has its sentence") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(9, uuid(2));
  const JobId job = room.rig.submit(7, uuid(3));
  CHECK(room.reason() == "1 job came before yours.");
  room.rig.record(core::Paused{true, "test"});
  CHECK(room.reason() == "The instructor has paused the queue. You can press Run; your place is kept.");
  room.rig.record(core::Paused{false, "test"});
  room.hear();
  room.rig.record(core::JobHeld{job, "test"});
  CHECK(room.reason() == "The instructor has put job 3 on hold. Your workflow is unchanged.");
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
  CHECK(room.reason() == "This job waits for gpu-2, which was chosen for it and is not connected.");
}

TEST_CASE("a hold of everybody, an allowance and a cap on running are told as such") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(7, uuid(2));
  room.hear();
  room.rig.record(core::EveryoneHeld{true, "test"});
  CHECK(room.reason() ==
        "The instructor has put everybody's jobs on hold. You can press Run; your place is kept.");
  room.rig.record(core::EveryoneHeld{false, "test"});
  room.hear();
  room.rig.record(core::ParticipantHeld{ParticipantId{7}, true, "test"});
  CHECK(room.reason() == "The instructor has put your jobs on hold. You can press Run; your place is kept.");
  room.rig.record(core::ParticipantHeld{ParticipantId{7}, false, "test"});
  room.hear();
  core::ParticipantLimits limits;
  limits.participant = ParticipantId{7};
  limits.running_max = 1;
  room.rig.record(limits);
  room.hear();
  const JobId first = room.rig.workshop->core().live(ParticipantId{8}, uuid(1))->job;
  room.rig.finish(first);  // 7's job starts
  room.rig.submit(7, uuid(4));
  CHECK(room.reason() == "You can have 1 job running at a time. This one is next after it.");
  const JobId running = room.rig.workshop->core().live(ParticipantId{7}, uuid(2))->job;
  room.rig.started(running);
  room.rig.computed(running);
  const JobId second = room.rig.workshop->core().live(ParticipantId{7}, uuid(4))->job;
  CHECK(room.rig.facts(second).lease.has_value());  // what it has computed counts no more
  limits.running_max = 0;
  limits.allowance_ms = 1;
  room.rig.record(limits);
  room.rig.started(second);
  room.hear();
  room.rig.computed(second);
  room.rig.submit(7, uuid(5));
  CHECK(room.reason() ==
        "You have used your 1 s of GPU time for today. Jobs you send now wait until the instructor adds "
        "time.");
}

TEST_CASE("a worker that is paused, drains or has no ComfyUI is said, not that it is busy") {
  Waiting room;
  room.rig.join();
  room.rig.submit(8, uuid(1));
  room.rig.submit(7, uuid(2));
  CHECK(room.reason().starts_with("Next when gpu-1 is free"));
  const auto& worker = *room.rig.workshop->core().worker("gpu-1");
  room.rig.record(core::WorkerPaused{worker.worker, true, "test"});
  auto job = room.job();
  CHECK(text(job.at("reason")) == "gpu-1 is paused; no other one can run this now. Your place is kept.");
  CHECK(job.at("place") == 1);
  CHECK(job.at("eta_ms").is_null());
  room.rig.record(core::WorkerDraining{worker.worker, true, "test"});
  CHECK(room.reason() ==
        "gpu-1 takes no new jobs any more; no other one can run this now. Your place is kept.");
  room.rig.join("gpu-2");  // has the job
  core::JobChanged pinned;
  pinned.job = room.rig.submit(7, uuid(4));
  pinned.pinned_worker = "gpu-1";
  room.rig.record(pinned);
  CHECK(room.reason() ==
        "gpu-1, which was chosen for this job, takes no new jobs any more. Your place is kept.");
  pinned.pinned_worker = "gpu-2";
  room.rig.record(pinned);
  CHECK(room.reason() ==
        "This job waits for gpu-2, which was chosen for it. Next when it is free, less than 1 min.");
  const auto& other = *room.rig.workshop->core().worker("gpu-2");
  room.rig.record(core::EngineLost{SlotId{other.worker, 0}, other.link});
  const auto pushed = room.hear();
  REQUIRE_FALSE(pushed.empty());
  const auto& jobs = pushed.back().at("jobs").as_array();
  CHECK(std::ranges::any_of(jobs, [](const boost::json::value& each) {
    return text(each.at("reason")) ==
           "gpu-2, which was chosen for this job, has no ComfyUI that is ready. Your place is kept.";
  }));
}

TEST_CASE("a job that is left for the GPU with its model is told so, and for as long as it is") {
  Waiting room;
  Rig& rig = room.rig;
  rig.record(core::ModeChanged{core::QueueMode::round_robin, "test"});
  core::Capability capability;
  capability.hash = sha256("with models");
  capability.classes = {"A"};
  capability.models = {"m1", "m2"};
  rig.record(capability);
  const auto join = [&](const char* name, std::uint64_t boot) {
    core::WorkerJoined joined;
    joined.name = name;
    joined.gateway = rig.workshop->gateway();
    joined.boot = Key128{boot, boot};
    joined.slots.emplace_back().capability = capability.hash;
    rig.record(joined);
  };
  const auto submit = [&](std::uint64_t participant, const char* model, int n) {
    core::Submitted job;
    job.participant = ParticipantId{participant};
    job.prompt_id = uuid(n);
    job.classes = {"A"};
    job.models = {model};
    job.signature = model[1] == '1' ? 1 : 2;
    rig.record(job);
    return rig.workshop->core().live(job.participant, job.prompt_id)->job;
  };
  join("gpu-1", 1);
  int n = 0;
  for (const char* model : {"m2", "m2", "m1", "m1"}) {  // a load takes 25 s, a run 5 s
    const JobId job = submit(9, model, ++n);
    rig.started(job);
    rig.runtime.advance(milliseconds{rig.facts(job).lease->loads ? 30'000 : 5'000});
    core::Computed computed;
    computed.job = job;
    computed.epoch = rig.facts(job).epoch;
    computed.gpu_ms = rig.facts(job).lease->loads ? 30'000 : 5'000;
    rig.record(computed);
    rig.ended(job);
  }
  const JobId busy = submit(8, "m1", 50);
  rig.started(busy);
  join("gpu-2", 2);
  const JobId job = submit(7, "m1", 51);
  CHECK(room.reason() ==
        "Waiting for gpu-1: it holds your model and is free sooner than another GPU could load it.");
  CHECK_FALSE(rig.facts(job).lease.has_value());
  rig.runtime.advance(milliseconds{25'000});  // no longer than a load takes
  CHECK(rig.facts(job).lease.has_value());
}

TEST_CASE("what no connected worker has is named") {
  Waiting room;
  core::Capability capability;
  capability.hash = sha256("another engine");
  capability.classes = {"EmptyImage"};
  room.rig.record(capability);
  core::WorkerJoined joined;
  joined.name = "gpu-1";
  joined.gateway = room.rig.workshop->gateway();
  joined.boot = Key128{9, 9};
  joined.slots.emplace_back().capability = capability.hash;
  room.rig.record(joined);
  room.rig.submit(7, uuid(1));
  CHECK(room.reason() ==
        "No connected GPU has the node SaveImage, which this workflow needs. The job is kept.");
}

TEST_CASE("a job that the instructor moved is not said to wait for turns, nor are those behind it") {
  Waiting room;
  room.rig.join();
  room.rig.record(core::ModeChanged{core::QueueMode::round_robin, "test"});
  room.rig.submit(8, uuid(1));
  room.rig.submit(9, uuid(2));
  const JobId other = room.rig.submit(10, uuid(3));
  const JobId job = room.rig.submit(7, uuid(4));
  CHECK(room.reason() == "2 jobs came before yours.");  // nobody has used anything yet
  core::Moved move;
  move.job = job;
  room.rig.record(move);
  CHECK(room.reason() ==
        "The instructor has moved this job to place 1. Next when gpu-1 is free, less than 1 min.");
  move.job = other;
  room.rig.record(move);
  CHECK(room.reason() == "The instructor has moved this job to place 2.");
  room.rig.record(core::MoveUndone{job, "test"});
  CHECK(room.reason() ==
        "1 job comes first in the order that the instructor has set. 1 job came before yours.");
  core::Submitted example;
  example.prompt_id = "example";
  example.classes = {"EmptyImage"};
  room.rig.record(example);
  CHECK(room.reason() ==
        "1 job comes first in the order that the instructor has set. The instructor runs an example first. "
        "1 job came before yours.");
}

TEST_CASE("who has used less GPU time is said to have only if it is so") {
  Waiting room;
  room.rig.join();
  room.rig.record(core::ModeChanged{core::QueueMode::round_robin, "test"});
  const JobId used = room.rig.submit(7, uuid(1));
  room.rig.started(used);
  room.hear();
  room.rig.computed(used);
  room.rig.ended(used);
  room.rig.submit(8, uuid(2));
  room.rig.submit(7, uuid(3));
  room.rig.submit(9, uuid(4));
  CHECK(room.reason() == "1 person ahead of you has used less GPU time today.");
}

TEST_CASE("in the order by priority a higher one and an earlier one are told apart") {
  Waiting room;
  room.rig.join();
  room.rig.record(core::ModeChanged{core::QueueMode::priority, "test"});
  room.rig.submit(8, uuid(1));
  room.rig.submit(9, uuid(2));
  room.rig.submit(7, uuid(3));
  CHECK(room.reason() == "1 job came before yours.");
  core::JobChanged high;
  high.job = room.rig.submit(10, uuid(4));
  high.priority = core::PriorityLevel::high;
  room.rig.record(high);
  CHECK(room.reason() == "1 job has a higher priority, 1 job came before yours.");
}

TEST_CASE("whose worker dies is told so, that the job starts again, and where it stands") {
  Waiting room;
  Rig& rig = room.rig;
  rig.join("gpu-1");
  const JobId job = rig.submit(7, uuid(1));
  rig.started(job);
  const auto die = [&](core::LossReason reason) {
    core::LeaseExpired expired;
    expired.job = job;
    expired.epoch = rig.facts(job).epoch;
    expired.reason = reason;
    rig.record(expired);
  };
  const auto leave = [&](const char* name) {
    const auto& worker = *rig.workshop->core().worker(name);
    rig.record(core::WorkerLeft{worker.worker, worker.link, "test"});
  };
  room.hear();
  leave("gpu-1");
  die(core::LossReason::link_expired);
  auto told = room.job();
  CHECK(text(told.at("cause")) ==
        "gpu-1 stopped answering. Your job is kept, place 1. Nothing for you to do.");
  CHECK(text(told.at("reason")) == "No GPU is connected. Your job is kept and starts when one arrives.");
  CHECK(told.at("place") == 1);

  rig.join("gpu-2");
  rig.started(job);
  room.hear();
  rig.join("gpu-3");
  rig.submit(8, uuid(2));  // which has gpu-3
  room.hear();
  leave("gpu-2");
  die(core::LossReason::evicted);
  told = room.job();
  CHECK(text(told.at("cause")) ==
        "gpu-2 was taken back by its provider. Your job starts again on another worker, place 1. Nothing for "
        "you to do.");
  CHECK(text(told.at("reason")).starts_with("Next when gpu-3 is free"));

  // Another GPU has it at once.
  rig.join("gpu-4");
  rig.started(job);
  rig.join("gpu-5");
  room.hear();
  leave("gpu-4");
  die(core::LossReason::link_expired);
  told = room.job();
  CHECK(told.at("place").is_null());
  CHECK(text(told.at("reason")) == "Starting on gpu-5.");
  CHECK(text(told.at("cause")) ==
        "gpu-4 stopped answering. Your job starts again on another worker. Nothing for you to do.");
  const auto pushed = room.hear(milliseconds{20'000});
  REQUIRE_FALSE(pushed.empty());
  CHECK(pushed.back().at("jobs").as_array().empty());
}

TEST_CASE("a job that a worker gives back is told why") {
  Waiting room;
  Rig& rig = room.rig;
  rig.join("gpu-1");
  const JobId job = rig.submit(7, uuid(1));
  room.hear();
  const auto& worker = *rig.workshop->core().worker("gpu-1");
  rig.record(core::WorkerDraining{worker.worker, true, "test"});
  core::Returned returned;
  returned.job = job;
  returned.epoch = rig.facts(job).epoch;
  rig.record(returned);
  CHECK(text(room.job().at("cause")) ==
        "gpu-1 takes no more jobs and gave yours back. Your job is kept, place 1. Nothing for you to do.");
}

TEST_CASE("a time that gets later comes with its cause, one that gets nearer without") {
  Waiting room;
  Rig& rig = room.rig;
  rig.join("gpu-1");
  rig.join("gpu-2");
  for (int n = 1; n <= 12; ++n) rig.submit(8 + n % 4, uuid(n));
  rig.submit(7, uuid(20));
  const auto before = room.job();
  CHECK_FALSE(before.contains("cause"));
  const WorkerId worker = rig.workshop->core().worker("gpu-2")->worker;
  rig.record(core::WorkerPaused{worker, true, "test"});
  const auto later = room.job();
  CHECK(later.at("place") == before.at("place"));
  CHECK(later.at("eta_ms").at(1).as_int64() > before.at("eta_ms").at(1).as_int64());
  CHECK(text(later.at("cause")) == "Ready later than said: gpu-2 was paused.");
  rig.record(core::WorkerPaused{worker, false, "test"});
  CHECK_FALSE(room.job().contains("cause"));
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
