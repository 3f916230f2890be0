// SPDX-License-Identifier: MIT
#include "machine_rig.hpp"

namespace atelier::agent {

TEST_CASE("a reconnect in every state says what is held and repeats what may be lost") {
  Rig rig;
  rig.ready();

  SUBCASE("fetching") {
    rig.take();
    rig.lose_link();
    rig.feed(JobFetched{kJob, fail(Errc::closed, "gone")});
    const auto hello = rig.open();
    REQUIRE(hello.jobs.size() == 1);
    CHECK(hello.jobs[0].state == link::JobState::fetching);
    rig.lose_link();
    rig.join();
    CHECK(rig.count<FetchJob>() == 1);
  }
  SUBCASE("posted") {
    rig.post();
    rig.lose_link();
    CHECK(rig.open().jobs.at(0).state == link::JobState::posted);
    rig.lose_link();
    rig.join();
    CHECK(rig.sent<link::Started>().empty());
  }
  SUBCASE("running, with the events of the meantime, of progress only the newest") {
    rig.run();
    rig.lose_link();
    for (int i = 0; i < 5; ++i) rig.engine("progress", fmt::format(R"("value":{},"max":9)", i));
    rig.engine("executing", R"("node":"3","display_node":"3")");
    CHECK(rig.last.empty());
    CHECK(rig.open().jobs.at(0).state == link::JobState::running);
    rig.lose_link();
    rig.join();
    CHECK(rig.sent<link::Started>().size() == 1);
    const auto events = rig.sent<link::Event>();
    REQUIRE(events.size() == 3);
    CHECK(events[0].n == 1);  // the gateway may have forgotten where the run is
    CHECK(events[0].json.find("execution_start") != std::string::npos);
    CHECK(events[1].json.find("\"value\":4") != std::string::npos);
    CHECK(events[2].n == events[1].n + 1);
    rig.lose_link();
    rig.join();
    const auto again = rig.sent<link::Event>();
    REQUIRE(again.size() == 2);
    CHECK(again[0].n == 1);
    CHECK(again[1].n == events[2].n);
    CHECK(again[1].json.find("\"executing\"") != std::string::npos);
  }
  SUBCASE("computed, uploads broken off, commit not answered") {
    rig.run();
    rig.executed("9");
    rig.executed("10");
    rig.collected("9");
    rig.collected("10");
    rig.finish_run();
    rig.history();
    rig.no_rest();
    rig.feed(Uploaded{kJob, "9", 0, {}});
    CHECK(rig.sent<link::Commit>().size() == 1);
    rig.lose_link();
    rig.feed(Uploaded{kJob, "10", 0, fail(Errc::closed, "gone")});
    const auto hello = rig.open();
    CHECK(hello.jobs.at(0).state == link::JobState::computed);
    CHECK(hello.jobs.at(0).staged.size() == 1);
    CHECK(hello.jobs.at(0).committed.empty());
    rig.lose_link();
    rig.join();
    CHECK(rig.sent<link::Computed>().size() == 1);
    CHECK(rig.only_sent<link::Commit>().node == "9");
    CHECK(rig.only<Upload>().node == "10");
  }
  SUBCASE("ended, not answered") {
    rig.run();
    rig.finish_run();
    rig.history();
    rig.no_rest();
    CHECK(rig.sent<link::Ended>().size() == 1);
    rig.lose_link();
    rig.join();
    CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::succeeded);
    rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
    rig.lose_link();
    CHECK(rig.open().jobs.empty());
  }
  SUBCASE("ended without a run, not answered: the slot is free when the end is recorded") {
    rig.take();
    rig.feed(JobFetched{kJob, {}});
    rig.feed(RunPosted{kJob, PostResult::refused, R"({"error":{"message":"Bad"}})"});
    CHECK(rig.sent<link::Ended>().size() == 1);
    rig.lose_link();
    rig.join();
    CHECK(rig.sent<link::Ended>().size() == 1);
    CHECK(rig.sent<link::SlotIdle>().empty());
    rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
    CHECK(rig.sent<link::SlotIdle>().size() == 1);
  }
  SUBCASE("the whole job while there is no link") {
    rig.run();
    rig.lose_link();
    rig.executed("9");
    rig.collected("9");
    CHECK(rig.count<Upload>() == 0);
    rig.finish_run();
    rig.history();
    rig.no_rest();
    CHECK(rig.count<Send>() == 0);
    rig.join();
    CHECK(rig.sent<link::Computed>().size() == 1);
    CHECK(rig.count<Upload>() == 1);
    rig.feed(Uploaded{kJob, "9", 0, {}});
    rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a"}});
    CHECK(rig.sent<link::Ended>().size() == 1);
  }
}

TEST_CASE("dialling again waits longer each time, at most 15 s, and starts short after a welcome") {
  Rig rig;
  rig.join();
  std::int64_t longest = 0;
  for (int i = 0; i < 10; ++i) {
    rig.lose_link();
    const auto wait = (rig.machine.next_at() - rig.now).count();
    CHECK(wait <= 15'000);
    longest = std::max(longest, wait);
    rig.advance(milliseconds(wait));
    CHECK(rig.count<Dial>() == 1);
  }
  CHECK(longest >= 7'500);
  rig.join();
  rig.lose_link();
  CHECK((rig.machine.next_at() - rig.now).count() <= 500);
}

TEST_CASE("a refusal ends the agent with code 2 at the first join only") {
  Rig fresh;
  fresh.feed(LinkDown{"401: wrong token", true});
  CHECK(fresh.only<Exit>().code == 2);
  Rig known;
  known.join();
  known.feed(LinkDown{"401: wrong token", true});
  CHECK(known.count<Exit>() == 0);
  known.advance(milliseconds(15'000));
  CHECK(known.count<Dial>() == 1);
}

TEST_CASE("an agent whose name another has taken ends instead of taking it back") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.feed(LinkDown{"another worker of this name has joined", false, true});
  CHECK(rig.only<Exit>().code == 2);
  CHECK(rig.only<Exit>().why.find("another worker called \"gpu-1\"") != std::string::npos);
  CHECK(rig.count<InterruptRun>() == 1);
  CHECK(rig.count<Dial>() == 0);
  rig.advance(milliseconds(60'000));
  CHECK(rig.last.empty());
}

TEST_CASE("a dropped job is interrupted, forgotten, and its slot reported idle when ComfyUI is through") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.lose_link();
  rig.join(link::Verdict::drop);
  CHECK(rig.count<InterruptRun>() == 1);
  CHECK(rig.count<Forget>() == 1);
  CHECK(rig.sent<link::SlotIdle>().empty());
  CHECK(rig.sent<link::Started>().empty());
  rig.collected("9");
  CHECK(rig.last.empty());
  rig.engine("execution_interrupted", R"("timestamp":5)");
  CHECK(rig.last.empty());
  rig.engine_ends();
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
  CHECK(rig.sent<link::Ended>().empty());
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("an engine that goes on with what was interrupted is started again, if the agent started it") {
  MachineOptions options = Rig::default_options();
  const auto ignored = [](Rig& rig) {
    rig.ready();
    rig.run();
    rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
    std::size_t restarts = 0;
    for (milliseconds waited{0}; waited < kInterruptPatience + milliseconds(5'000);
         waited += milliseconds(1'000)) {
      rig.advance(milliseconds(1'000));
      CHECK(rig.count<RestartEngine>() == 0);
      rig.feed(RunAsked{kJob, RunPlace::running, {}});
      CHECK(rig.count<InterruptRun>() == 1);
      restarts += rig.count<RestartEngine>();
    }
    return restarts;
  };
  Rig joined(options);
  CHECK(ignored(joined) == 0);
  options.launched = true;
  Rig launched(options);
  CHECK(ignored(launched) == 1);
  launched.feed(EngineDown{0, "signal 15"});
  CHECK(launched.machine.held() == 0);
}

TEST_CASE("a ghost without events is asked for until it is gone") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.lose_link();
  rig.join(link::Verdict::drop);
  rig.advance(milliseconds(1000));
  CHECK(rig.count<AskRun>() == 1);
  rig.feed(RunAsked{kJob, RunPlace::running, std::nullopt});
  CHECK(rig.count<InterruptRun>() == 1);
  rig.advance(milliseconds(1000));
  rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

TEST_CASE("a refused commit of a stale epoch drops the job") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.collected("9");
  rig.feed(Uploaded{kJob, "9", 0, {}});
  rig.gateway(link::Refused{kJob.job, kJob.epoch, "9", link::RefuseReason::stale});
  CHECK(rig.count<InterruptRun>() == 1);
  CHECK(rig.count<Forget>() == 1);
}

TEST_CASE("an upload that meets a newer epoch drops the job") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.finish_run();
  rig.collected("9");
  rig.feed(Uploaded{kJob, "9", 0, fail(Errc::stale_epoch, "409")});
  CHECK(rig.machine.held() == 0);
  CHECK(rig.sent<link::Ended>().empty());
}

TEST_CASE("a commit refused for its hash is uploaded anew, three times at most") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.finish_run();
  rig.history();
  rig.no_rest();
  rig.collected("9");
  for (int i = 0; i < 2; ++i) {
    rig.feed(Uploaded{kJob, "9", 0, {}});
    rig.gateway(link::Refused{kJob.job, kJob.epoch, "9", link::RefuseReason::bad_hash});
    CHECK(rig.only<Upload>().anew);
  }
  rig.feed(Uploaded{kJob, "9", 0, {}});
  rig.gateway(link::Refused{kJob.job, kJob.epoch, "9", link::RefuseReason::bad_hash});
  CHECK(rig.only_sent<link::Ended>().cause == link::EndCause::outputs_lost);
}

TEST_CASE("a commit refused for want of space is repeated") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.collected("9");
  rig.feed(Uploaded{kJob, "9", 0, {}});
  rig.gateway(link::Refused{kJob.job, kJob.epoch, "9", link::RefuseReason::disk});
  rig.advance(milliseconds(5'000));
  CHECK(rig.sent<link::Commit>().size() == 1);
}

TEST_CASE("the engine's death gives the uncomputed job up and keeps the computed one") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.collected("9");
  rig.finish_run();
  const RunKey second{JobId{8}, Epoch{3}};
  rig.run(second);
  rig.feed(EngineDown{0, "connection reset"});
  const auto lost = rig.only_sent<link::EngineLost>();
  CHECK(lost.job == second.job);
  CHECK(lost.epoch == second.epoch);
  CHECK(rig.machine.held() == 1);
  rig.feed(RunAsked{kJob, RunPlace::unreachable, std::nullopt});
  rig.no_rest();
  rig.feed(Uploaded{kJob, "9", 0, {}});
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a"}});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::succeeded);
  CHECK(ended.report.find("\"status_str\":\"success\"") != std::string::npos);
  rig.engine_up();
  CHECK(rig.sent<link::EngineReady>().size() == 1);
}

TEST_CASE("files that went with a dead engine give their job up, too") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.finish_run();
  rig.feed(EngineDown{0, "connection reset"});
  SUBCASE("at once where it can be said") {}
  SUBCASE("after the link is back, which would bring the lease again") {
    rig.lose_link();
    rig.feed(Collected{kJob, "9", fail(Errc::unavailable, "refused")});
    CHECK(rig.machine.held() == 1);
    rig.join();
  }
  rig.feed(Collected{kJob, "9", fail(Errc::unavailable, "refused")});
  CHECK(rig.only_sent<link::Returned>().job == kJob.job);
  CHECK(rig.sent<link::EngineLost>().empty());
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("a lease that is sent again is looked for in ComfyUI before it is posted") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.feed(EngineDown{0, "the socket broke"});
  rig.engine_up();
  rig.gateway(Rig::lease());
  rig.feed(JobFetched{kJob, {}});
  CHECK(rig.count<PostRun>() == 0);
  CHECK(rig.count<AskRun>() == 1);
  SUBCASE("it is not there") {
    rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
    CHECK(rig.count<PostRun>() == 1);
  }
  SUBCASE("it runs") {
    rig.feed(RunAsked{kJob, RunPlace::running, std::nullopt});
    CHECK(rig.count<PostRun>() == 0);
    CHECK(rig.sent<link::Started>().size() == 1);
    rig.finish_run();
    CHECK(rig.sent<link::Computed>().size() == 1);
  }
  SUBCASE("it is done") {
    rig.history();
    CHECK(rig.count<PostRun>() == 0);
    CHECK(rig.sent<link::Computed>().size() == 1);
  }
}

TEST_CASE("the same lease twice is one job, a newer epoch replaces the older") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.gateway(Rig::lease());
  CHECK(rig.last.empty());
  const RunKey newer{kJob.job, Epoch{2}};
  rig.gateway(Rig::lease(newer));
  CHECK(rig.count<InterruptRun>() == 1);
  CHECK(rig.only<FetchJob>().key == newer);
  rig.gateway(Rig::lease());
  CHECK(rig.count<FetchJob>() == 0);
}

TEST_CASE("a job lost with its engine while the link was opened goes back") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.lose_link();
  const auto hello = rig.open();
  REQUIRE(hello.jobs.size() == 1);
  rig.feed(EngineDown{0, "died"});
  CHECK(rig.count<Send>() == 0);
  rig.welcome(link::Verdict::keep);
  CHECK(rig.only_sent<link::Returned>().job == kJob.job);
  CHECK(rig.sent<link::EngineLost>().size() == 1);
}

TEST_CASE("a slot that becomes empty while the link is opened says so after the welcome") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.lose_link();
  const auto hello = rig.open();
  REQUIRE(hello.jobs.size() == 1);
  rig.feed(JobFetched{kJob, fail(Errc::disk_full, "no space")});  // goes back
  CHECK(rig.count<Send>() == 0);
  rig.welcome(link::Verdict::keep);
  CHECK(rig.only_sent<link::Returned>().job == kJob.job);
  rig.advance(milliseconds(1'000));  // it rests after that
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

TEST_CASE(
    "the slot of a dropped job says that it is empty, whatever came between the hello and the welcome") {
  Rig rig;
  rig.ready();
  SUBCASE("its run ended") {
    rig.run();
    rig.lose_link();
    rig.open();
    rig.finish_run();
    rig.welcome(link::Verdict::drop);
    CHECK(rig.sent<link::SlotIdle>().size() == 1);
  }
  SUBCASE("ComfyUI refused it") {
    rig.take();
    rig.feed(JobFetched{kJob, {}});
    rig.lose_link();
    rig.open();
    rig.feed(RunPosted{kJob, PostResult::refused, R"({"error":{"message":"Bad"}})"});
    rig.welcome(link::Verdict::drop);
    CHECK(rig.sent<link::SlotIdle>().size() == 1);
  }
  SUBCASE("it had been dropped before, and its run ended") {
    rig.run();
    rig.lose_link();
    rig.join(link::Verdict::drop);
    rig.lose_link();
    rig.open();
    rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
    rig.welcome(link::Verdict::drop);
    CHECK(rig.sent<link::SlotIdle>().size() == 1);
  }
  SUBCASE("its engine died and is up again") {
    rig.run();
    rig.lose_link();
    rig.open();
    rig.feed(EngineDown{0, "died"});
    rig.engine_up();
    rig.welcome(link::Verdict::drop);
    CHECK(rig.sent<link::SlotIdle>().size() == 1);
  }
  SUBCASE("nothing did: not before its run has ended") {
    rig.run();
    rig.lose_link();
    rig.open();
    rig.welcome(link::Verdict::drop);
    CHECK(rig.sent<link::SlotIdle>().empty());
    rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
    CHECK(rig.sent<link::SlotIdle>().size() == 1);
  }
}

TEST_CASE(
    "object_info that the gateway wants is published, then the engine announced; a failure is tried again") {
  Rig rig;
  rig.engine_up();
  rig.open();
  link::Welcome welcome;
  welcome.link = LinkId{1};
  welcome.want.push_back(sha256("object_info"));
  rig.gateway(welcome);
  CHECK(rig.count<PublishObjectInfo>() == 1);
  rig.feed(ObjectInfoPublished{0, sha256("object_info"), fail(Errc::closed, "gone")});
  CHECK(rig.sent<link::EngineReady>().empty());
  rig.advance(milliseconds(2'000));
  CHECK(rig.count<PublishObjectInfo>() == 1);
  rig.feed(ObjectInfoPublished{0, sha256("object_info"), {}});
  CHECK(rig.sent<link::EngineReady>().size() == 1);
}

TEST_CASE("draining finishes what runs, gives back what waits, and then leaves") {
  Rig rig;
  rig.ready();
  rig.run();
  const RunKey waiting{JobId{8}, Epoch{1}};
  rig.take(waiting);
  rig.feed(DrainRequested{"SIGTERM"});
  CHECK(rig.sent<link::Draining>().size() == 1);
  CHECK(rig.only_sent<link::Returned>().job == waiting.job);
  CHECK(rig.count<Exit>() == 0);
  rig.gateway(Rig::lease(RunKey{JobId{9}, Epoch{1}}));
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::draining);
  rig.finish_run();
  rig.history();
  rig.no_rest();
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.sent<link::Empty>().size() == 1);
  CHECK(rig.count<CloseLink>() == 1);
  CHECK(rig.only<Exit>().code == 0);
  rig.feed(Tick{});
  CHECK(rig.last.empty());
}

TEST_CASE("a second signal, or the drain limit, gives the running job back and ends at once") {
  MachineOptions options = Rig::default_options();
  options.drain_limit = milliseconds(10'000);
  Rig rig(options);
  rig.ready();
  rig.run();
  rig.feed(DrainRequested{"SIGTERM"});
  SUBCASE("signal") { rig.feed(StopRequested{}); }
  SUBCASE("limit") { rig.advance(milliseconds(10'000)); }
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::draining);
  CHECK(rig.count<InterruptRun>() == 1);
  CHECK(rig.only<Exit>().code == 0);
}

TEST_CASE("an idle agent leaves at once when asked to") {
  Rig rig;
  rig.ready();
  rig.feed(DrainRequested{"SIGTERM"});
  CHECK(rig.count<Exit>() == 1);
}

TEST_CASE("a hint's inputs are fetched ahead, but not for a job that has come, nor while draining") {
  Rig rig;
  rig.join();
  link::Hint hint;
  hint.job = JobId{9};
  hint.epoch = Epoch{1};
  hint.inputs.push_back({"cup.png", link::FileType::input, sha256("cup"), 3});
  rig.feed(FromGateway{hint});
  const auto ahead = rig.only<Prefetch>();
  CHECK(ahead.key == RunKey{JobId{9}, Epoch{1}});
  CHECK(ahead.inputs == hint.inputs);
  rig.feed(FromGateway{link::Hint{}});
  CHECK(rig.only<Prefetch>().inputs.empty());

  rig.feed(FromGateway{Rig::lease(RunKey{JobId{9}, Epoch{1}})});
  rig.feed(FromGateway{hint});
  CHECK(rig.count<Prefetch>() == 0);
  hint.slot = 5;
  hint.job = JobId{10};
  rig.feed(FromGateway{hint});
  CHECK(rig.count<Prefetch>() == 0);  // there is no slot 5
  hint.slot = 0;
  rig.feed(FromGateway{link::Drain{}});
  rig.feed(FromGateway{hint});
  CHECK(rig.only<Prefetch>().inputs.empty());
}

TEST_CASE("drain and undrain of the gateway stop and allow leases without an end of the agent") {
  Rig rig;
  rig.ready();
  rig.gateway(link::Drain{});
  CHECK(rig.count<Exit>() == 0);
  rig.gateway(Rig::lease());
  CHECK(rig.sent<link::Returned>().size() == 1);
  rig.gateway(link::Undrain{});
  rig.gateway(Rig::lease(RunKey{JobId{8}, Epoch{1}}));
  CHECK(rig.count<FetchJob>() == 1);
}

TEST_CASE("a stop that comes after computed is answered with slot_idle: the workshop ended the job before") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.engine_ends();
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

TEST_CASE("a stop that is obeyed late still frees the slot") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  rig.engine("execution_interrupted", R"("node_id":"1","node_type":"A","executed":[],"timestamp":2)");
  rig.engine_ends();
  CHECK(rig.sent<link::Computed>().size() == 1);
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

TEST_CASE("a stop of the job before, or of an older epoch, interrupts nothing of what runs now") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.engine_ends();
  constexpr RunKey kNext{JobId{8}, Epoch{2}};
  rig.gateway(Rig::lease(kNext));
  rig.feed(JobFetched{kNext, {}});
  rig.feed(RunPosted{kNext, PostResult::accepted, ""});
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  CHECK(rig.count<InterruptRun>() == 0);
  rig.gateway(link::Stop{kNext.job, Epoch{1}, "cancelled"});
  CHECK(rig.count<InterruptRun>() == 0);
  CHECK(rig.sent<link::SlotIdle>().empty());  // its slot is busy with the next one
  rig.gateway(link::Stop{kNext.job, kNext.epoch, "cancelled"});
  CHECK(rig.only<InterruptRun>().run_id == Rig::run_id(kNext));
}

}  // namespace atelier::agent
