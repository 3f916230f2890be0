// SPDX-License-Identifier: MIT
// Previews for clients of both kinds, and where waiting jobs stand (atelier.queue).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "comfy/messages.hpp"
#include "unit/gateway/running_job.hpp"

namespace atelier::gateway::test {
namespace {

using Texts = std::vector<std::string>;

boost::json::value read(std::string_view message) { return comfy::Json::parse(message).value().value(); }

std::string with_metadata(const std::string& prompt_id, std::string_view image = "jpeg",
                          comfy::ImageFormat format = comfy::ImageFormat::jpeg) {
  comfy::PreviewMetadata metadata;
  metadata.node_id = metadata.display_node_id = metadata.real_node_id = "3";
  metadata.prompt_id = prompt_id;
  metadata.format = format;
  // As the worker link hands it on: without the four bytes of the kind.
  return comfy::encode_preview_with_metadata(comfy::preview_metadata_json(metadata), image).substr(4);
}
/// As SaveImageWebsocket sends it to who takes metadata.
std::string result(std::string_view image) { return with_metadata("run", image, comfy::ImageFormat::png); }

TEST_CASE("G24: previews have metadata and the client's prompt_id, or the old form for old clients") {
  Running run;
  Tab modern(run.rig, 7, "mine", true);
  run.quiet();
  modern.take();
  run.rig.preview(run.job, 4, with_metadata(run.rig.run_id(run.job)));
  const auto fresh = modern.take_frames();
  REQUIRE(fresh.size() == 1);
  CHECK(comfy::decode_frame(fresh[0])->kind == comfy::FrameKind::preview_with_metadata);
  CHECK(comfy::prompt_id_of_frame(fresh[0]).value() == uuid(1));
  const auto old = run.mine.take_frames();
  REQUIRE(old.size() == 1);
  CHECK(old[0] == comfy::encode_preview(comfy::ImageFormat::jpeg, "jpeg"));
  CHECK(run.other.take_frames() == Texts{});
  CHECK(run.theirs.take_frames() == Texts{});
}

TEST_CASE("a picture that is a node's result goes through to both kinds of clients as it came") {
  Running run;
  Tab modern(run.rig, 7, "mine", true);
  run.quiet();
  modern.take();
  const std::string frame = comfy::encode_preview(comfy::ImageFormat::png, "png");
  run.rig.preview(run.job, 1, frame.substr(4));
  CHECK(modern.take_frames() == Texts{frame});
  CHECK(run.mine.take_frames() == Texts{frame});
}

TEST_CASE("of previews that wait for a slow browser only the newest is kept, of results all") {
  Running run;
  run.quiet();
  run.mine.stall(true);
  run.rig.event(run.job, "executing", "9", R"({"node":"9","prompt_id":"RUN"})");  // being written
  for (int i = 0; i < 5; ++i) run.rig.preview(run.job, 4, with_metadata(fmt::format("{}", i)));
  for (int i = 0; i < 3; ++i) {
    run.rig.preview(run.job, 1, comfy::encode_preview(comfy::ImageFormat::png, "png").substr(4));
  }
  for (int i = 0; i < 3; ++i) run.rig.preview(run.job, 4, result("png"));
  run.mine.stall(false);
  CHECK(run.mine.take_frames().size() == 1 + 3 + 3);
}

TEST_CASE("a browser that is behind gets every result, however large they are, in their order") {
  Running run;
  Tab modern(run.rig, 7, "mine", true);
  run.quiet();
  modern.take();
  run.mine.stall(true);
  modern.stall(true);
  for (char mark = 'a'; mark < 'a' + 12; ++mark)
    run.rig.preview(run.job, 4, result(std::string(10 << 20, 'x') + mark));
  run.rig.event(run.job, "executing", "9", R"({"node":"9","prompt_id":"RUN"})");
  for (Tab* tab : {&run.mine, &modern}) {
    CHECK(tab->closed() == net::CloseCode::none);
    tab->stall(false);
    std::string marks;
    for (const std::string& frame : tab->take_frames()) {
      marks += frame.back();
      const auto decoded = comfy::decode_frame(frame).value();
      CHECK(decoded.format == comfy::ImageFormat::png);
      CHECK((decoded.kind == comfy::FrameKind::preview_with_metadata) == (tab == &modern));
    }
    CHECK(marks == "abcdefghijkl");
  }
}

TEST_CASE("a browser for which more than 128 MB of results wait is let go, and no other") {
  Running run;
  Tab second(run.rig, 7, "mine");
  run.quiet();
  run.mine.stall(true);
  for (int i = 0; i < 15; ++i) run.rig.preview(run.job, 4, result(std::string(10 << 20, 'x')));
  CHECK(second.take_frames().size() == 15);
  run.mine.stall(false);
  CHECK(run.mine.closed() == net::CloseCode::try_again_later);
  CHECK(second.closed() == net::CloseCode::none);
}

TEST_CASE("a result stands where the engine sent it: before the next node, after the files it waits for") {
  Running run;
  run.quiet();
  run.rig.event(run.job, "executed", "9", R"({"node":"9","output":{"images":[]},"prompt_id":"RUN"})");
  run.rig.event(run.job, "executing", "3", R"({"node":"3","prompt_id":"RUN"})");
  run.rig.preview(run.job, 4, result("png"));
  run.rig.event(run.job, "executing", "4", R"({"node":"4","prompt_id":"RUN"})");
  CHECK(run.mine.take_types() == Texts{});
  run.rig.runtime.advance(milliseconds{300});
  CHECK(run.mine.take_types() == Texts{"executing 3", "<11 bytes>", "executing 4"});
}

TEST_CASE("a tab that opens again gets the last preview, and no result a second time") {
  Running run;
  run.rig.preview(run.job, 4, with_metadata("run"));
  run.rig.preview(run.job, 4, result("png"));
  run.rig.preview(run.job, 3, comfy::encode_text("3", "a text").substr(4));
  Tab again(run.rig, 7, "mine", true);
  const auto frames = again.take_frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].ends_with("jpeg"));
}

TEST_CASE("a custom node's own event comes as it is; of a prompt without client_id to all of its seat") {
  Running run;
  run.quiet();
  run.rig.event(run.job, "my_pack.progress", "", R"({"value":[1,null]})");
  CHECK(run.mine.take() == Texts{R"({"type":"my_pack.progress","data":{"value":[1,null]}})"});
  CHECK(run.other.take() == Texts{});
  run.end();
  const JobId job = run.rig.submit(7, uuid(2), "");
  run.rig.started(job);
  run.quiet();
  run.rig.event(job, "my_pack.progress", "", R"({"value":2})");
  run.rig.event(job, "executing", "9", R"({"node":"9","prompt_id":"RUN"})");
  for (Tab* tab : {&run.mine, &run.other})
    CHECK(tab->take() == Texts{R"({"type":"my_pack.progress","data":{"value":2}})"});
  CHECK(run.theirs.take() == Texts{});
}

TEST_CASE("that a prompt without client_id was interrupted is told to all of its seat") {
  Running run;
  run.end();
  const JobId job = run.rig.submit(7, uuid(2), "");
  run.rig.started(job);
  run.rig.computed(job);
  run.quiet();
  // As ComfyUI prints it.
  const std::string event =
      fmt::format(R"({{"type": "execution_interrupted", "data": {{"prompt_id": "{}"}}}})", uuid(2));
  run.rig.ended(job, core::Outcome::cancelled, event);
  for (Tab* tab : {&run.mine, &run.other}) CHECK(std::ranges::count(tab->take(), event) == 1);
  CHECK(std::ranges::count(run.theirs.take(), event) == 0);
}

TEST_CASE("where a waiting job stands is pushed when it changed, at most once a second, to its own seat") {
  Rig rig;
  Tab mine(rig, 7, "mine"), theirs(rig, 9, "x");
  rig.runtime.advance(milliseconds{2'000});
  CHECK(mine.take_types() == Texts{"status"});  // with nothing waiting there is nothing to tell
  const auto places = [&](Tab& tab) {
    Texts got;
    for (const std::string& message : tab.take()) {
      if (read(message).at("type") == "atelier.queue") got.push_back(message);
    }
    return got;
  };
  rig.submit(8, uuid(1));
  rig.submit(7, uuid(2));
  auto got = places(mine);
  REQUIRE(got.size() <= 1);
  rig.submit(7, uuid(3));
  rig.submit(8, uuid(4));
  CHECK(places(mine) == Texts{});  // the second is not over
  rig.runtime.advance(milliseconds{1'000});
  got = places(mine);
  REQUIRE(got.size() == 1);
  const auto jobs = read(got[0]).at("data").at("jobs");
  REQUIRE(jobs.as_array().size() == 2);
  CHECK(text(jobs.at(0).at("prompt_id")) == uuid(2));
  CHECK(jobs.at(0).at("place") == 2);
  CHECK(jobs.at(0).at("of") == 4);
  CHECK(jobs.at(0).at("eta_ms").is_null());
  CHECK(jobs.at(1).at("place") == 3);
  CHECK(got[0].find(uuid(1)) == std::string::npos);
  CHECK(got[0].find("No GPU is connected.") != std::string::npos);
  rig.runtime.advance(milliseconds{10'000});
  CHECK(places(mine) == Texts{});  // nothing changed
  CHECK(theirs.take_types() == Texts{"status"});
  rig.join();  // takes the first job
  rig.runtime.advance(milliseconds{1'000});
  got = places(mine);
  REQUIRE(got.size() == 1);
  CHECK(read(got[0]).at("data").at("jobs").at(0).at("place") == 1);
  CHECK(got[0].find("Next when gpu-1 is free, ") != std::string::npos);
  rig.post("/user/7/queue", R"({"clear":true})");
  rig.runtime.advance(milliseconds{1'000});
  got = places(mine);
  REQUIRE(!got.empty());
  CHECK(got.back() == R"({"type":"atelier.queue","data":{"jobs":[]}})");
}

TEST_CASE("a held job has no place and says why it waits, and so does a paused queue") {
  Rig rig;
  Tab tab(rig, 7, "mine");
  const JobId job = rig.submit(7, uuid(1));
  rig.submit(7, uuid(2));
  rig.record(core::JobHeld{.job = job, .by = "instructor"});
  rig.record(core::Paused{.paused = true, .by = "instructor"});
  rig.runtime.advance(milliseconds{2'000});
  const auto got = tab.take();
  REQUIRE(!got.empty());
  const auto jobs = read(got.back()).at("data").at("jobs").as_array();
  REQUIRE(jobs.size() == 2);
  for (const auto& each : jobs) {
    if (text(each.at("prompt_id")) == uuid(1)) {
      CHECK(each.at("place").is_null());
      CHECK(each.at("reason") == "The instructor has put job 1 on hold. Your workflow is unchanged.");
    } else {
      CHECK(each.at("place") == 1);
      CHECK(each.at("reason") ==
            "The instructor has paused the queue. You can press Run; your place is kept.");
    }
  }
}

TEST_CASE("a tab that opens again is told the places again") {
  Rig rig;
  auto tab = std::make_unique<Tab>(rig, 7, "mine");
  rig.submit(7, uuid(1));
  rig.runtime.advance(milliseconds{2'000});
  tab.reset();
  rig.runtime.advance(milliseconds{2'000});
  Tab again(rig, 7, "mine");
  rig.runtime.advance(milliseconds{1'000});
  CHECK(again.take_types() == Texts{"status", "atelier.queue"});
}

}  // namespace
}  // namespace atelier::gateway::test
