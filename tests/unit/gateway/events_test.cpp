// SPDX-License-Identifier: MIT
// What a participant's sockets get while their jobs wait, run and end.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "unit/gateway/running_job.hpp"

namespace atelier::gateway::test {
namespace {

using Texts = std::vector<std::string>;

constexpr const char* kImages =
    R"({"images":[{"filename":"cat_00001_.png","subfolder":"","type":"output"}]})";
const std::string kEngineExecuted =
    R"({"node":"9","display_node":"9","output":{"images":[{"filename":"x.png"}]},"prompt_id":"RUN"})";

boost::json::value read(std::string_view message) { return comfy::Json::parse(message).value().value(); }

TEST_CASE(
    "a status goes to all sockets of a seat, and to no other seat, when a job is put and when it is taken") {
  Rig rig;
  Tab mine(rig, 7, "mine"), other(rig, 7, "other"), theirs(rig, 8, "mine");
  for (Tab* tab : {&mine, &other, &theirs}) tab->take();
  const JobId job = rig.submit(7, uuid(1), "mine");
  for (Tab* tab : {&mine, &other}) {
    const auto got = tab->take();
    REQUIRE(!got.empty());
    CHECK(read(got[0]).at("data").at("status").at("exec_info").at("queue_remaining") == 1);
    CHECK_FALSE(read(got[0]).at("data").as_object().contains("sid"));
  }
  rig.runtime.advance(milliseconds{2'000});
  mine.take();
  rig.join();  // waiting jobs are granted at once
  CHECK(mine.take_types().front() == "status");
  rig.started(job);
  rig.event(job, "execution_start", "", R"({"prompt_id":"RUN"})");
  CHECK(mine.take_types() == Texts{"execution_start"});  // the status came before it
  CHECK(theirs.take() == Texts{});
}

TEST_CASE("a job's events go only to the sockets of the client that posted it, with its prompt_id") {
  Running run;
  run.quiet();
  run.rig.event(run.job, "execution_start", "", R"({"prompt_id":"RUN","timestamp":5})");
  run.rig.event(run.job, "progress_state", "",
                R"({"prompt_id":"RUN","nodes":{"1":{"prompt_id":"RUN","state":"running"}}})");
  const auto got = run.mine.take();
  REQUIRE(got.size() == 2);
  CHECK(read(got[0]).at("type") == "execution_start");
  CHECK(text(read(got[0]).at("data").at("prompt_id")) == uuid(1));
  CHECK(text(read(got[1]).at("data").at("nodes").at("1").at("prompt_id")) == uuid(1));
  CHECK(run.other.take() == Texts{});
  CHECK(run.theirs.take() == Texts{});
}

TEST_CASE("of a prompt without a client id all sockets of its seat get the progress and nothing else") {
  Rig rig;
  Tab one(rig, 7, "a"), two(rig, 7, "b"), theirs(rig, 8, "a");
  const JobId job = rig.submit(7, uuid(1));
  rig.join();
  rig.started(job);
  rig.runtime.advance(milliseconds{2'000});
  for (Tab* tab : {&one, &two, &theirs}) tab->take();
  rig.event(job, "executing", "9", R"({"node":"9","prompt_id":"RUN"})");
  rig.event(job, "progress", "9", R"({"node":"9","value":1,"max":2,"prompt_id":"RUN"})");
  CHECK(one.take_types() == Texts{"progress 9"});
  CHECK(two.take_types() == Texts{"progress 9"});
  CHECK(theirs.take() == Texts{});
}

TEST_CASE("executed is shown with the names in the participant's folder, before all that follows it") {
  Running run;
  run.quiet();
  run.rig.event(run.job, "executed", "9", kEngineExecuted);
  run.rig.event(run.job, "executing", "10", R"({"node":"10","prompt_id":"RUN"})");
  CHECK(run.mine.take() == Texts{});
  run.rig.commit(run.job, "9", kImages);
  const auto got = run.mine.take();
  REQUIRE(got.size() == 2);
  const auto executed = read(got[0]);
  CHECK(executed.at("type") == "executed");
  CHECK(executed.at("data").at("output") == read(kImages));
  CHECK(text(executed.at("data").at("prompt_id")) == uuid(1));
  CHECK(read(got[1]).at("type") == "executing");
}

TEST_CASE("files that take longer than 300 ms do not hold up the events") {
  Running run;
  run.quiet();
  run.rig.event(run.job, "executed", "9", kEngineExecuted);
  run.rig.event(run.job, "executing", "10", R"({"node":"10","prompt_id":"RUN"})");
  run.rig.runtime.advance(milliseconds{299});
  CHECK(run.mine.take() == Texts{});
  run.rig.runtime.advance(milliseconds{1});
  CHECK(run.mine.take_types() == Texts{"executing 10"});
  run.rig.commit(run.job, "9", kImages);
  CHECK(run.mine.take_types() == Texts{"executed 9"});
}

TEST_CASE(
    "a job ends with its ending event, the status and executing null, in this order, when history has it") {
  Running run;
  run.rig.event(run.job, "executed", "9", kEngineExecuted);
  run.rig.commit(run.job, "9", kImages);
  run.quiet();
  run.rig.event(run.job, "execution_success", "", R"({"prompt_id":"RUN"})");
  run.rig.event(run.job, "executing", "", R"({"node":null,"prompt_id":"RUN"})");
  CHECK(run.mine.take() == Texts{});  // the engine's own are swallowed
  run.end();
  auto types = run.mine.take_types();
  types.resize(3);
  CHECK(types == Texts{"execution_success", "status", "executing null"});
  CHECK(run.rig.get("/user/7/history/" + uuid(1)).body != "{}");
  CHECK(run.other.take_types().front() == "status");
  CHECK(run.theirs.take() == Texts{});
  // Nothing of the job is heard after its end.
  LiveFrame late;
  late.job = run.job;
  late.epoch = Epoch{1};
  late.type = "progress";
  late.bytes = std::make_shared<const std::string>(R"({"type":"progress","data":{}})");
  run.rig.live.publish(late);
  CHECK(run.mine.take() == Texts{});
}

TEST_CASE("the ending event that the worker reported is the one that is shown, whatever the reason") {
  for (const auto reason : {core::EndReason::finished, core::EndReason::refused, core::EndReason::time_limit,
                            core::EndReason::outputs_lost}) {
    CAPTURE(static_cast<int>(reason));
    Running run;
    run.quiet();
    run.rig.computed(run.job);
    const std::string error = fmt::format(
        R"({{"type":"execution_error","data":{{"prompt_id":"{}","node_id":"3","exception_message":"no"}}}})",
        uuid(1));
    run.rig.ended(run.job, core::Outcome::failed, error, {}, "null", reason);
    CHECK(run.mine.take().front() == error);
  }
}

TEST_CASE("the ending waits for an executed whose files stand") {
  Running run;
  run.rig.event(run.job, "execution_start", "", R"({"prompt_id":"RUN"})");
  run.quiet();
  // Linked, but its frame has not come: the end is recorded first.
  std::vector<journal::NewAttachment> first, second;
  core::Committed committed;
  committed.job = run.job;
  committed.epoch = Epoch{1};
  committed.node = "9";
  committed.ui = run.rig.attach("{}", first);
  run.rig.record(std::move(committed), std::move(first));
  core::Linked linked;
  linked.job = run.job;
  linked.node = "9";
  linked.ui = run.rig.attach(kImages, second);
  run.rig.record(std::move(linked), std::move(second));
  run.end();
  run.rig.runtime.advance(milliseconds{1'999});
  CHECK(run.mine.take() == Texts{});
  LiveFrame frame;
  frame.kind = LiveKind::executed;
  frame.job = run.job;
  frame.epoch = Epoch{1};
  frame.node = frame.display_node = "9";
  frame.bytes = std::make_shared<const std::string>(kImages);
  run.rig.live.publish(frame);
  CHECK(run.mine.take_types() == Texts{"executed 9", "execution_success", "status", "executing null"});
}

TEST_CASE("a waiting job that is cancelled shows nothing but the new count") {
  Rig rig;
  Tab tab(rig, 7, "mine");
  rig.submit(7, uuid(1), "mine");
  rig.runtime.advance(milliseconds{2'000});
  tab.take();
  rig.post("/user/7/queue", R"({"clear":true})");
  const auto got = tab.take();
  REQUIRE(!got.empty());
  for (const std::string& message : got) {
    CAPTURE(message);
    CHECK((read(message).at("type") == "status" || read(message).at("type") == "atelier.queue"));
  }
  CHECK(read(rig.get("/user/7/prompt").body).at("exec_info").at("queue_remaining") == 0);
}

TEST_CASE("a repeat after the end sends the job's outputs and ending again") {
  Running run;
  run.rig.commit(run.job, "9", kImages);
  run.end();
  run.quiet();
  CHECK(run.rig.post("/user/7/prompt", prompt_body(uuid(1), "mine")).status == 200);
  CHECK(run.mine.take_types() == Texts{"executed 9", "execution_success", "status", "executing null"});
  CHECK(run.theirs.take() == Texts{});
}

TEST_CASE("a socket that opens in mid-run gets the state of the client's own job") {
  Running run;
  run.rig.event(run.job, "execution_start", "", R"({"prompt_id":"RUN"})");
  run.rig.event(run.job, "execution_cached", "", R"({"prompt_id":"RUN","nodes":["1"]})");
  run.rig.event(run.job, "executed", "9", kEngineExecuted);
  run.rig.commit(run.job, "9", kImages);
  run.rig.event(run.job, "progress_state", "", R"({"prompt_id":"RUN","nodes":{}})");
  run.rig.event(run.job, "executing", "12", R"({"node":"12","prompt_id":"RUN"})");
  run.rig.preview(run.job, 4, std::string("\0\0\0\2{}jpg", 9));
  Tab again(run.rig, 7, "mine");
  const auto got = again.take();
  REQUIRE(got.size() >= 7);
  CHECK(read(got[0]).at("type") == "status");
  const char* const expected[] = {"execution_start", "execution_cached", "executed", "progress_state",
                                  "executing"};
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(text(read(got[i + 1]).at("type")) == expected[i]);
    CHECK(text(read(got[i + 1]).at("data").at("prompt_id")) == uuid(1));
  }
  CHECK(read(got[3]).at("data").at("output") == read(kImages));
  CHECK(got[6] == "<11 bytes>");
  Tab stranger(run.rig, 7, "stranger"), theirs(run.rig, 8, "mine");
  CHECK(stranger.take_types() == Texts{"status"});
  CHECK(theirs.take_types() == Texts{"status"});
}

TEST_CASE("what an epoch showed that was lost is not replayed in the next") {
  Running run;
  run.rig.event(run.job, "execution_start", "", R"({"prompt_id":"RUN"})");
  run.rig.event(run.job, "executing", "12", R"({"node":"12","prompt_id":"RUN"})");
  core::Returned back;
  back.job = run.job;
  back.epoch = Epoch{1};
  run.rig.record(back);
  Tab waiting(run.rig, 7, "mine");
  CHECK(waiting.take_types() == Texts{"status"});
  run.rig.join("gpu-2");
  REQUIRE(run.rig.facts(run.job).epoch == Epoch{2});
  run.rig.started(run.job);
  run.rig.event(run.job, "execution_start", "", R"({"prompt_id":"RUN"})");
  Tab again(run.rig, 7, "mine");
  const auto got = again.take_types();
  CHECK(got == Texts{"status", "execution_start"});
}

}  // namespace
}  // namespace atelier::gateway::test
