// SPDX-License-Identifier: MIT
// A worker that cannot do its part for a while: no files, no room on its disk, an engine that takes no job.
#include "machine_rig.hpp"

namespace atelier::agent {

TEST_CASE("a joined engine that goes on with a cancelled job takes no more until that has come to its end") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  std::size_t lost = 0, told = 0;
  const auto ask_on = [&](milliseconds time) {
    for (milliseconds waited{0}; waited < time; waited += milliseconds(1'000)) {
      rig.advance(milliseconds(1'000));
      rig.feed(RunAsked{kJob, RunPlace::running, {}});
      lost += rig.sent<link::EngineLost>().size();
      told += rig.sent<link::LogLines>().size();
      for (const link::EngineLost& each : rig.sent<link::EngineLost>()) CHECK_FALSE(each.job);
    }
  };
  ask_on(kInterruptPatience - milliseconds(5'000));
  CHECK(lost == 0);
  ask_on(3 * kInterruptPatience);
  CHECK(lost == 1);
  CHECK(told == 1);
  std::size_t ready = 0, idle = 0;
  const auto came = [&] {
    ready += rig.sent<link::EngineReady>().size();
    idle += rig.sent<link::SlotIdle>().size();
    if (rig.count<PublishObjectInfo>() == 0) return;
    rig.feed(ObjectInfoPublished{0, sha256("object_info"), {}});
    ready += rig.sent<link::EngineReady>().size();
    idle += rig.sent<link::SlotIdle>().size();
  };
  SUBCASE("it does not know the run any more") {
    rig.feed(RunAsked{kJob, RunPlace::absent, {}});
    came();
    rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
    came();
  }
  SUBCASE("it says that it has ended it") {
    rig.engine("execution_interrupted", R"("timestamp":5)");
    rig.engine_ends();
    came();
    rig.feed(RunAsked{kJob, RunPlace::done, RunHistory{link::Outcome::cancelled, "", "{}", 0, {}}});
    came();
    rig.no_rest();
    rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
    came();
  }
  SUBCASE("over a new link, too") {
    rig.lose_link();
    CHECK(rig.open().slots.at(0).engine == link::EngineState::lost);
    rig.welcome(link::Verdict::drop);
    came();
    CHECK(ready + idle == 0);
    rig.feed(RunAsked{kJob, RunPlace::absent, {}});
    came();
  }
  SUBCASE("its ComfyUI ends") {
    rig.feed(EngineDown{0, "the connection was refused"});
    rig.engine_up();
    came();
    idle = 1;  // nothing else waits for it
  }
  // The gateway may not have taken the slot for lost.
  CHECK(ready == 1);
  CHECK(idle >= 1);
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("files that cannot be fetched give their own job up, and neither the slot nor the job in it") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.finish_run();
  const RunKey second{JobId{8}, Epoch{3}};
  rig.run(second);
  for (int i = 0; i < 4; ++i) {
    rig.feed(Collected{kJob, "9", fail(Errc::unavailable, "503")});
    CHECK(rig.count<Send>() == 0);
    rig.advance(milliseconds(2'000));
    CHECK(rig.count<Collect>() == 1);
  }
  rig.feed(Collected{kJob, "9", fail(Errc::unavailable, "503")});
  CHECK(rig.only_sent<link::Returned>().job == kJob.job);
  CHECK(rig.count<Send>() == 1);
  CHECK(rig.count<InterruptRun>() == 0);
  CHECK(rig.machine.busy(0));
}

TEST_CASE("files that find no room on the worker's disk wait for it, and then their job goes back") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.finish_run();
  const auto no_room = [&](const std::string& node) {
    rig.feed(Collected{kJob, node, fail(Errc::disk_full, "no space")});
  };
  SUBCASE("there is room again") {
    no_room("9");
    rig.advance(milliseconds(5'000));
    CHECK(rig.only<Collect>().node == "9");
    rig.collected("9");
    CHECK(rig.count<Upload>() == 1);
  }
  SUBCASE("also what no node has named") {
    no_room("");
    rig.advance(milliseconds(5'000));
    CHECK(rig.count<CollectRest>() == 1);
    rig.no_rest();
    rig.collected("9");
    rig.history();
    rig.feed(Uploaded{kJob, "9", 0, {}});
    CHECK(rig.sent<link::Commit>().size() == 1);
    rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a"}});
    CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::succeeded);
  }
  SUBCASE("there is none for half a minute") {
    for (int i = 0; i < 5; ++i) {
      no_room("9");
      CHECK(rig.count<Send>() == 0);
      rig.advance(milliseconds(5'000));
    }
    no_room("9");
    CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::disk_full);
    CHECK(rig.machine.held() == 0);
  }
}

TEST_CASE("while files wait for room on the worker's disk no other job is taken") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("8");
  rig.collected("8");
  rig.executed("9");
  rig.finish_run();
  rig.feed(Collected{kJob, "9", fail(Errc::disk_full, "no space")});
  rig.gateway(Rig::lease({JobId{8}, Epoch{3}}));
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::disk_full);
  CHECK(rig.count<FetchJob>() == 0);
  CHECK(rig.sent<link::SlotIdle>().empty());
  SUBCASE("there is room") { rig.collected("9"); }
  SUBCASE("the job that waits is stale") {
    rig.feed(Uploaded{kJob, "8", 0, fail(Errc::stale_epoch, "stale")});
  }
  if (rig.sent<link::SlotIdle>().empty()) {
    for (int i = 0; i < 5; ++i) rig.feed(Collected{kJob, "9", fail(Errc::disk_full, "no space")});
    CHECK(rig.sent<link::SlotIdle>().empty());
    rig.advance(milliseconds(1'000));
  }
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

TEST_CASE("a slot whose engine does not take jobs rests longer each time, until it takes one") {
  Rig rig;
  rig.ready();
  std::uint64_t epoch = 0;
  const auto fails = [&] {
    const RunKey key{kJob.job, Epoch{++epoch}};
    rig.take(key);
    rig.feed(JobFetched{key, {}});
    rig.feed(RunPosted{key, PostResult::unreachable, "it hung up"});
    CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::refused_by_engine);
    rig.feed(RunAsked{key, RunPlace::absent, std::nullopt});
    CHECK(rig.machine.held() == 0);
    CHECK(rig.sent<link::SlotIdle>().empty());
  };
  const auto rests = [&](milliseconds pause) {
    rig.advance(pause - milliseconds(1));
    CHECK(rig.sent<link::SlotIdle>().empty());
    rig.advance(milliseconds(1));
    CHECK(rig.sent<link::SlotIdle>().size() == 1);
  };
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
    fails();
    rests(milliseconds(seconds * 1'000));
  }
  const RunKey taken{kJob.job, Epoch{++epoch}};
  rig.run(taken);
  rig.finish_run(taken);
  fails();
  rests(milliseconds(1'000));
}

TEST_CASE("a new link does not end a slot's rest: its hello names what was given back") {
  Rig rig;
  rig.ready();
  rig.take();
  const auto reason = link::ReturnReason::disk_full;
  rig.feed(JobFetched{kJob, fail(Errc::disk_full, "no space")});
  REQUIRE(rig.only_sent<link::Returned>().reason == reason);
  rig.lose_link();
  link::Verdict verdict = link::Verdict::drop;
  std::size_t returns = 0;
  SUBCASE("its return had come") {}
  SUBCASE("its return was lost with the link") {
    verdict = link::Verdict::keep;
    returns = 1;
  }
  const link::Hello hello = rig.open();
  REQUIRE(hello.jobs.size() == 1);
  CHECK(hello.jobs.front().job == kJob.job);
  CHECK(hello.jobs.front().epoch == kJob.epoch);
  CHECK(hello.jobs.front().state == link::JobState::fetching);
  rig.welcome(verdict);
  CHECK(rig.sent<link::Returned>().size() == returns);
  for (const link::Returned& repeated : rig.sent<link::Returned>()) CHECK(repeated.reason == reason);
  CHECK(rig.sent<link::SlotIdle>().empty());
  rig.advance(milliseconds(1'000));
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
  rig.lose_link();
  CHECK(rig.open().jobs.empty());
}

TEST_CASE("a job that its engine answers with 500 may be the fault itself, and its slot does not rest") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.feed(JobFetched{kJob, {}});
  rig.feed(RunPosted{kJob, PostResult::failed, "ComfyUI answered 500 to POST /prompt"});
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::refused_by_engine);
  rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

}  // namespace atelier::agent
