// SPDX-License-Identifier: MIT
#include "comfy/rewrite.hpp"
#include "machine_rig.hpp"

namespace atelier::agent {

TEST_CASE("a job goes from its lease to ended_ok, each step once") {
  Rig rig;
  CHECK(rig.count<Dial>() == 1);
  rig.join();
  rig.engine_up();
  CHECK(rig.only_sent<link::EngineReady>().comfy_version == "0.21.0");
  rig.gateway(Rig::lease());
  CHECK(rig.only<FetchJob>().lease.run_id == Rig::run_id(kJob));
  rig.feed(JobFetched{kJob, {}});
  CHECK(rig.only<PostRun>().run_id == Rig::run_id(kJob));
  rig.feed(RunPosted{kJob, PostResult::accepted, ""});
  CHECK(rig.last.empty());
  rig.engine("execution_start", R"("timestamp":1)");
  CHECK(rig.only_sent<link::Started>().job == kJob.job);
  CHECK(rig.only_sent<link::Event>().n == 1);
  rig.executed("9");
  CHECK(rig.only_sent<link::Event>().n == 2);
  CHECK(rig.only<Collect>().node == "9");
  rig.collected("9");
  CHECK(rig.only<Upload>().file == 0);
  rig.now = rig.now + milliseconds(1500);
  rig.engine("execution_success", R"("timestamp":9)");
  CHECK(rig.sent<link::Event>().empty());  // the ending events travel in `ended`
  rig.engine_ends();
  CHECK(rig.only_sent<link::Computed>().gpu_ms == 1500);
  CHECK(rig.count<AskRun>() == 1);
  CHECK(rig.count<CollectRest>() == 1);
  rig.history();
  rig.no_rest();
  CHECK(rig.sent<link::Ended>().empty());  // a commit is not answered yet
  rig.feed(Uploaded{kJob, "9", 0, {}});
  CHECK(rig.only_sent<link::Commit>().files.size() == 1);
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a_00001_.png"}});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::succeeded);
  CHECK(ended.event.find("execution_success") != std::string::npos);
  CHECK(ended.report.find("\"meta\"") != std::string::npos);
  CHECK(rig.count<Forget>() == 0);  // nothing is deleted before ended_ok
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.count<Forget>() == 1);
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("the next job runs while the outputs of the last one travel") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.finish_run();
  const RunKey second{JobId{8}, Epoch{1}};
  rig.run(second);
  CHECK(rig.machine.held() == 2);
  rig.collected("9");
  rig.feed(Uploaded{kJob, "9", 0, {}});
  CHECK(rig.only_sent<link::Commit>().job == kJob.job);
}

TEST_CASE("events of foreign runs and of no run are dropped") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.engine("progress", R"("value":1,"max":2)", RunKey{JobId{99}, Epoch{1}});
  CHECK(rig.last.empty());
  rig.feed(EngineEvent{0, R"({"type":"status","data":{"status":{"exec_info":{"queue_remaining":1}}}})"});
  CHECK(rig.last.empty());
  rig.feed(EngineEvent{0, "not json"});
  CHECK(rig.last.empty());
}

TEST_CASE("a result that only Python can write is relayed and committed as JSON") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.engine("executed", R"("node":"9","display_node":"9","output":{"text":["a\udcff"],"value":[NaN]})");
  CHECK(rig.only_sent<link::Event>().json.find(R"("output":{"text":["a\ufffd"],"value":[null]})") !=
        std::string::npos);
  CHECK(rig.only<Collect>().ui == "{\"text\":[\"a\xef\xbf\xbd\"],\"value\":[null]}");
}

TEST_CASE("success is not believed if neither an event nor the history can be read") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.feed(EngineEvent{0, R"({"type":"executed","data":{"prompt_id")"});
  SUBCASE("with the history all is well") {
    rig.finish_run();
    rig.history();
    rig.no_rest();
    CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::succeeded);
  }
  SUBCASE("without it the results may be lost") {
    rig.finish_run();
    rig.feed(RunAsked{kJob, RunPlace::unreachable, std::nullopt});
    rig.no_rest();
    const auto ended = rig.only_sent<link::Ended>();
    CHECK(ended.outcome == link::Outcome::failed);
    CHECK(ended.cause == link::EndCause::outputs_lost);
    CHECK(ended.reason == "what ComfyUI told of this job's results cannot be read");
  }
}

TEST_CASE("an engine that repeats itself does not fill the agent's memory") {
  Rig rig;
  rig.ready();
  rig.run();
  for (int i = 0; i < 1000; ++i) rig.engine("execution_cached", fmt::format(R"("nodes":["{}"])", i));
  REQUIRE(rig.machine.jobs().at(kJob).messages.size() == 2);
  CHECK(rig.machine.jobs().at(kJob).messages.back().second.find(R"("999")") != std::string::npos);
}

TEST_CASE("an ExecutionBlocked error in mid-run is relayed and ends nothing") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.engine("execution_error",
             R"("exception_type":"ExecutionBlocked","exception_message":"x","node_id":"3")");
  CHECK(rig.only_sent<link::Event>().n == 2);
  rig.finish_run();
  rig.history();
  rig.no_rest();
  CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::succeeded);
}

TEST_CASE("an error of a node ends the job as failed, with ComfyUI's own event") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.engine("execution_error",
             R"("exception_type":"ValueError","exception_message":"boom","node_id":"3","timestamp":5)");
  rig.engine_ends();
  rig.no_rest();
  rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::failed);
  CHECK(ended.cause == link::EndCause::engine);
  CHECK(ended.reason == "boom");
  CHECK(ended.event.find("ValueError") != std::string::npos);
  CHECK(ended.report.find("\"status_str\":\"error\"") !=
        std::string::npos);  // the agent's own: ComfyUI had none
}

TEST_CASE("a prompt that ComfyUI refuses fails with the node that it named") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.feed(JobFetched{kJob, {}});
  rig.feed(RunPosted{
      kJob, PostResult::refused,
      R"({"error":{"type":"prompt_outputs_failed_validation","message":"Prompt outputs failed validation"},)"
      R"("node_errors":{"4":{"class_type":"LoadImage","errors":[{"type":"custom_validation_failed","message":"Bad","details":"image"}]}}})"});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::failed);
  CHECK(ended.cause == link::EndCause::refused);
  CHECK(ended.reason == "Bad: image");
  CHECK(ended.event.find("\"node_id\":\"4\"") != std::string::npos);
  CHECK(rig.sent<link::SlotIdle>().empty());  // not before the end is recorded
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

TEST_CASE("an input that ComfyUI does not find is placed anew, once") {
  Rig rig;
  rig.ready();
  link::Lease lease = Rig::lease();
  lease.inputs.push_back({"cat.png", link::FileType::input, sha256("cat"), 3});
  rig.gateway(lease);
  CHECK_FALSE(rig.only<FetchJob>().anew);
  rig.feed(JobFetched{kJob, {}});
  const std::string refused = fmt::format(
      R"({{"error":{{"type":"prompt_outputs_failed_validation","message":"Prompt outputs failed validation"}},)"
      R"("node_errors":{{"4":{{"class_type":"LoadImage","errors":[{{"type":"custom_validation_failed",)"
      R"("message":"Bad","details":"image - Invalid image file: {}"}}]}}}}}})",
      comfy::worker_input_name("cat.png", sha256("cat")));
  rig.feed(RunPosted{kJob, PostResult::refused, refused});
  CHECK(rig.only<FetchJob>().anew);
  CHECK(rig.sent<link::Ended>().empty());
  rig.feed(JobFetched{kJob, {}});
  CHECK(rig.count<AskRun>() == 1);  // it may have taken the first one
  rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
  CHECK(rig.count<PostRun>() == 1);
  rig.feed(RunPosted{kJob, PostResult::refused, refused});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.cause == link::EndCause::refused);
  CHECK(ended.reason == "Bad: image - Invalid image file: cat.png");
}

TEST_CASE("what ComfyUI refuses of a prompt that it takes is said when the rest has run") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.feed(JobFetched{kJob, {}});
  rig.feed(RunPosted{
      kJob, PostResult::accepted,
      R"({"prompt_id":"x","number":1,"node_errors":{"2":{"class_type":"Checks","dependent_outputs":["3"],)"
      R"("errors":[{"type":"custom_validation_failed","message":"Custom validation failed for node","details":"no"}]}}})"});
  rig.engine("execution_start", R"("timestamp":1)");
  rig.executed("9");
  rig.collected("9");
  rig.finish_run();
  rig.history();
  rig.no_rest();
  rig.feed(Uploaded{kJob, "9", 0, {}});
  CHECK(rig.only_sent<link::Commit>().node == "9");
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a"}});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::failed);
  CHECK(ended.cause == link::EndCause::refused);
  CHECK(ended.reason == "Custom validation failed for node: no");
  CHECK(ended.event.find(R"("node_id":"2")") != std::string::npos);
  CHECK(ended.event.find(R"("node_type":"Checks")") != std::string::npos);
}

TEST_CASE("a file that is missing, empty or outside makes the job fail, and the other nodes are kept") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.executed("10");
  rig.feed(Collected{kJob, "9", fail(Errc::bad_request, "the output file a is empty")});
  rig.collected("10");
  rig.finish_run();
  rig.history();
  rig.no_rest();
  rig.feed(Uploaded{kJob, "10", 0, {}});
  CHECK(rig.only_sent<link::Commit>().node == "10");
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "10", {"a"}});
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::failed);
  CHECK(ended.cause == link::EndCause::outputs_lost);
  CHECK(ended.reason == "the output file a is empty");
  CHECK(ended.event.find("\"node_id\":\"9\"") != std::string::npos);
  CHECK(ended.report.find("execution_success") == std::string::npos);
}

TEST_CASE("files without an entry are committed under the empty node") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.finish_run();
  rig.history();
  rig.collected("");
  CHECK(rig.only<Upload>().node == "");
  rig.feed(Uploaded{kJob, "", 0, {}});
  CHECK(rig.only_sent<link::Commit>().ui == "{}");
}

TEST_CASE("a node with text and no files is committed without an upload") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.engine("executed", R"("node":"5","display_node":"5","output":{"text":["hello"]})");
  rig.collected("5", {});
  CHECK(rig.only_sent<link::Commit>().ui == R"({"text":["hello"]})");
  rig.engine("executed", R"("node":"6","display_node":"6","output":null)");
  CHECK(rig.count<Collect>() == 0);
  CHECK(rig.sent<link::Event>().size() == 1);
}

TEST_CASE("a stop before the post ends the job at once and frees the slot") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::cancelled);
  CHECK(rig.sent<link::SlotIdle>().empty());  // not before the end is recorded
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
  CHECK(rig.count<InterruptRun>() == 0);
  rig.feed(JobFetched{kJob, {}});
  CHECK(rig.count<PostRun>() == 0);
}

TEST_CASE("a stop of a running job interrupts it and ends it as cancelled with what it made") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  CHECK(rig.only<InterruptRun>().run_id == Rig::run_id(kJob));
  rig.engine("execution_interrupted", R"("node_id":"4","timestamp":5)");
  rig.engine_ends();
  CHECK(rig.sent<link::Computed>().size() == 1);
  rig.history();
  rig.no_rest();
  rig.collected("9");
  rig.feed(Uploaded{kJob, "9", 0, {}});
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "9", {"a"}});
  CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::cancelled);
}

TEST_CASE("a stop while the post is under way interrupts as soon as ComfyUI has it") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.feed(JobFetched{kJob, {}});
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  CHECK(rig.count<InterruptRun>() == 0);
  rig.feed(RunPosted{kJob, PostResult::accepted, ""});
  CHECK(rig.count<InterruptRun>() == 1);
  rig.advance(milliseconds(1000));
  CHECK(rig.count<AskRun>() == 1);
  rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});  // it was still waiting in ComfyUI's queue
  CHECK(rig.only_sent<link::Ended>().outcome == link::Outcome::cancelled);
  CHECK(rig.sent<link::SlotIdle>().empty());  // not before the end is recorded
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
}

TEST_CASE("a stop of an unknown job is answered with slot_idle") {
  Rig rig;
  rig.ready();
  rig.gateway(link::Stop{JobId{99}, Epoch{1}, "expired"});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
  CHECK(rig.count<InterruptRun>() == 0);
}

TEST_CASE("a job that runs past its limit is interrupted and fails with that reason") {
  Rig rig;
  rig.ready();
  link::Lease lease = Rig::lease();
  lease.limit_ms = 5000;
  rig.gateway(lease);
  rig.feed(JobFetched{kJob, {}});
  rig.feed(RunPosted{kJob, PostResult::accepted, ""});
  rig.engine("execution_start");
  rig.advance(milliseconds(5000));
  CHECK(rig.count<InterruptRun>() == 1);
  rig.engine("execution_interrupted", R"("node_id":"4","timestamp":5)");
  rig.engine_ends();
  rig.history();
  rig.no_rest();
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::failed);
  CHECK(ended.cause == link::EndCause::time_limit);
  CHECK(ended.reason == "Stopped after 5 s, the longest time a job may run here.");
}

TEST_CASE("a run that lost its events is found in the history") {
  Rig rig;
  rig.ready();
  rig.post();
  rig.advance(milliseconds(15'000));
  CHECK(rig.count<AskRun>() == 1);
  RunHistory history;
  history.gpu_ms = 1234;
  history.event = R"({"type":"execution_success","data":{}})";
  history.report = "{}";
  history.outputs = {{"9", R"({"images":[{"filename":"a_00001_.png","subfolder":"","type":"output"}]})"}};
  rig.feed(RunAsked{kJob, RunPlace::done, history});
  CHECK(rig.sent<link::Started>().size() == 1);
  CHECK(rig.only_sent<link::Computed>().gpu_ms == 1234);
  CHECK(rig.only<Collect>().node == "9");
}

TEST_CASE("a run whose ending event was missed has taken its time all the same") {
  Rig rig;
  rig.ready();
  rig.post();
  rig.engine("execution_start", R"("timestamp":1)");
  rig.now = rig.now + milliseconds(700);
  rig.engine_ends();
  CHECK(rig.only_sent<link::Computed>().gpu_ms == 700);
}

TEST_CASE("a run that ComfyUI does not know any more goes back") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.advance(milliseconds(15'000));
  rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
  CHECK(rig.last.empty());  // it may have been between queue and history
  rig.advance(milliseconds(1000));
  rig.feed(RunAsked{kJob, RunPlace::absent, std::nullopt});
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::refused_by_engine);
}

TEST_CASE("inputs that cannot be fetched give the job back, passing troubles are tried again") {
  Rig rig;
  rig.ready();
  rig.take();
  for (int i = 0; i < 4; ++i) {
    rig.feed(JobFetched{kJob, fail(Errc::unavailable, "no answer")});
    CHECK(rig.sent<link::Returned>().empty());
    rig.advance(milliseconds(5000));
    CHECK(rig.count<FetchJob>() == 1);
  }
  rig.feed(JobFetched{kJob, fail(Errc::unavailable, "no answer")});
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::input_not_fetched);
  rig.advance(milliseconds(1000));  // it rests after that
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("an input that is too large for the worker ends the job at once, and its slot goes on") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.feed(JobFetched{kJob, fail(Errc::too_large, "clip.mov has 420 MB; the limit is 100 MB.")});
  CHECK(rig.sent<link::Returned>().empty());
  CHECK(rig.count<FetchJob>() == 0);
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.outcome == link::Outcome::failed);
  CHECK(ended.cause == link::EndCause::refused);
  CHECK(ended.reason == "clip.mov has 420 MB; the limit is 100 MB.");
  CHECK(ended.event.find("clip.mov") != std::string::npos);
  rig.gateway(link::EndedOk{kJob.job, kJob.epoch});
  CHECK(rig.sent<link::SlotIdle>().size() == 1);
  CHECK(rig.machine.held() == 0);
}

TEST_CASE("a full disk gives the job back with that reason") {
  Rig rig;
  rig.ready();
  rig.take();
  rig.feed(JobFetched{kJob, fail(Errc::disk_full, "no space")});
  CHECK(rig.only_sent<link::Returned>().reason == link::ReturnReason::disk_full);
}

TEST_CASE("previews are thinned per job, and the newest is never lost; final pictures pass") {
  Rig rig;
  rig.ready();
  rig.run();
  auto frame = [&](char mark) {
    const std::string metadata =
        fmt::format(R"({{"prompt_id":"{}","image_type":"image/jpeg"}})", Rig::run_id(kJob).uuid());
    std::string bytes("\0\0\0\4\0\0\0", 7);
    bytes += static_cast<char>(metadata.size());
    return bytes + metadata + mark;
  };
  rig.feed(EngineFrame{0, frame('a')});
  CHECK(rig.only_sent<link::Preview>().frame.back() == 'a');
  rig.feed(EngineFrame{0, frame('b')});
  rig.feed(EngineFrame{0, frame('c')});
  CHECK(rig.sent<link::Preview>().empty());
  rig.advance(milliseconds(40));
  CHECK(rig.only_sent<link::Preview>().frame.back() == 'c');
  for (int i = 0; i < 3; ++i) {
    rig.feed(EngineFrame{0, std::string("\0\0\0\1\0\0\0\2PNG", 11)});
    CHECK(rig.only_sent<link::Preview>().kind == 1);
  }
}

TEST_CASE("heartbeats go out at the interval of welcome") {
  Rig rig;
  rig.ready();
  rig.advance(milliseconds(15'000));
  CHECK(rig.sent<link::Heartbeat>().size() == 3);
  rig.feed(EngineAnswered{0, "gpu", 1, 1, 0});
  rig.advance(milliseconds(5'000));
  CHECK(rig.only_sent<link::Heartbeat>().slots[0].engine_answered_ms == 5'000);
}

TEST_CASE("telemetry tells of every slot what its engine said last, beside the machine's instruments") {
  MachineOptions options = Rig::default_options();
  options.slots = 2;
  Rig rig(options);
  rig.join();
  EngineInfo info;
  info.object_info = sha256("object_info");
  info.device = "cuda:0";
  info.vram_total = 90;
  for (const std::uint32_t slot : {0u, 1u}) rig.feed(EngineUp{slot, info, 80});
  rig.feed(EngineAnswered{1, "cuda:0", 90, 30, 2});
  Measured measured{7'000, 1'700'000'000'123, std::vector<link::GpuReading>(1)};
  measured.gpus->front().name = "H200";
  rig.feed(measured);
  const auto told = rig.only_sent<link::Telemetry>();
  CHECK(told.disk_free == 7'000);
  CHECK(told.clock == 1'700'000'000'123);
  REQUIRE(told.gpus);
  CHECK(told.gpus->front().name == "H200");
  const std::vector<link::TelemetrySlot> slots{{0, "cuda:0", 90, 80, {}}, {1, "cuda:0", 90, 30, 2}};
  CHECK(told.slots == slots);
  rig.feed(EngineDown{0, "it died"});
  rig.feed(Measured{});
  CHECK(rig.only_sent<link::Telemetry>().slots.size() == 1);
}

TEST_CASE("only an engine that the agent started is restarted when the gateway asks") {
  MachineOptions options = Rig::default_options();
  Rig joined(options);
  joined.ready();
  joined.gateway(link::RestartEngine{0});
  CHECK(joined.count<RestartEngine>() == 0);
  options.launched = true;
  Rig launched(options);
  launched.ready();
  launched.gateway(link::RestartEngine{0});
  CHECK(launched.only<RestartEngine>().slot == 0);
  launched.gateway(link::RestartEngine{1});  // there is none
  CHECK(launched.count<RestartEngine>() == 0);
}

TEST_CASE("a tunnel is opened to a slot that is there") {
  Rig rig;
  rig.ready();
  rig.gateway(link::OpenTunnel{Key128{1, 2}, 0});
  CHECK(rig.only<OpenTunnel>().slot == 0);
  CHECK(rig.only<OpenTunnel>().tunnel == Key128{1, 2});
  rig.gateway(link::OpenTunnel{Key128{1, 2}, 63});
  CHECK(rig.count<OpenTunnel>() == 0);
}

TEST_CASE("what an engine prints goes to the gateway, of a flood the last lines") {
  Rig rig;
  rig.feed(EnginePrinted{0, {"nobody hears this"}});
  CHECK(rig.last.empty());
  rig.ready();
  std::vector<std::string> lines(link::kLogLinesMax + 1, "again");
  lines.front() = "first";
  lines.back() = "last";
  rig.feed(EnginePrinted{0, lines});
  const auto sent = rig.only_sent<link::LogLines>();
  CHECK(sent.lines.size() == link::kLogLinesMax);
  CHECK(sent.lines.front() == "again");
  CHECK(sent.lines.back() == "last");
}

TEST_CASE(
    "a file that changes after its node has named it is collected anew, when no upload of it is under way") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.executed("9");
  std::vector<link::CommitFile> files = Rig::one_file();
  files.push_back(files.front());
  files.back().place = "images/1";
  rig.collected("9", files);
  CHECK(rig.count<Upload>() == 2);
  const Error changed(Errc::io, "it is larger now");
  rig.feed(Uploaded{kJob, "9", 0, std::unexpected(changed)});
  rig.advance(milliseconds(10'000));
  CHECK(rig.count<Collect>() == 0);
  rig.feed(Uploaded{kJob, "9", 1, {}});
  for (int again = 1; again <= 5; ++again) {
    rig.advance(milliseconds(2'000));
    CHECK(rig.only<Collect>().node == "9");
    rig.collected("9");
    CHECK(rig.only<Upload>().file < 2);
    CHECK(rig.only<Upload>().anew);
    if (again < 5) rig.feed(Uploaded{kJob, "9", 0, std::unexpected(changed)});
  }
  SUBCASE("it is whole now") {
    rig.feed(Uploaded{kJob, "9", 0, {}});
    CHECK(rig.only_sent<link::Commit>().files.size() == 1);
  }
  SUBCASE("it never ends") {
    rig.feed(Uploaded{kJob, "9", 0, std::unexpected(changed)});
    rig.finish_run();
    rig.history();
    rig.no_rest();
    const auto ended = rig.only_sent<link::Ended>();
    CHECK(ended.cause == link::EndCause::outputs_lost);
    CHECK(ended.reason.find("it is larger now") != std::string::npos);
  }
}

}  // namespace atelier::agent
