// SPDX-License-Identifier: MIT
// What a run says while it runs: results, texts, custom nodes' own events, and whose they are.
#include <boost/json.hpp>

#include "agent/own_names.hpp"
#include "comfy/json.hpp"
#include "comfy/messages.hpp"
#include "comfy/rewrite.hpp"
#include "unit/agent/machine_rig.hpp"

namespace atelier::agent {
namespace {

using Texts = std::vector<std::string>;

constexpr RunKey kNext{JobId{8}, Epoch{1}};

/// As SaveImageWebsocket sends it to a client that takes metadata.
EngineFrame picture(std::string image, comfy::ImageFormat format = comfy::ImageFormat::png,
                    RunKey key = kJob) {
  comfy::PreviewMetadata metadata;
  metadata.node_id = metadata.display_node_id = metadata.real_node_id = "12";
  metadata.prompt_id = Rig::run_id(key).uuid();
  metadata.format = format;
  return {0, comfy::encode_preview_with_metadata(comfy::preview_metadata_json(metadata), image)};
}
EngineFrame nameless(std::string image) { return {0, comfy::encode_preview(comfy::ImageFormat::png, image)}; }

/// What was sent last: the last byte of a frame, the type of an event.
Texts said(const Rig& rig) {
  Texts all;
  for (const Send& send : rig.all<Send>()) {
    if (const auto* frame = std::get_if<link::Preview>(&send.message))
      all.push_back(frame->frame.substr(frame->frame.size() - 1));
    if (const auto* event = std::get_if<link::Event>(&send.message))
      all.push_back(comfy::parse_event(event->json).value().type);
  }
  return all;
}

std::string data_of(const link::Event& event) { return comfy::parse_event(event.json).value().data.print(); }

TEST_CASE(
    "the pictures that a node sends as its result all go out, however fast they come; previews do not") {
  Rig rig;
  rig.ready();
  rig.run();
  for (char mark = 'a'; mark <= 'z'; ++mark) {
    rig.feed(picture(std::string("png") + mark));
    REQUIRE(said(rig) == Texts{std::string(1, mark)});
    CHECK_FALSE(rig.only<Send>().newest_only);
  }
  rig.feed(picture("jpeg1", comfy::ImageFormat::jpeg));
  CHECK(rig.only<Send>().newest_only);
  rig.feed(picture("jpeg2", comfy::ImageFormat::jpeg));
  CHECK(said(rig).empty());
  rig.feed(nameless("A"));
  CHECK_FALSE(rig.only<Send>().newest_only);
}

TEST_CASE("a result of more than one binary frame goes in parts, to a gateway that takes them") {
  const std::string image = std::string(5 << 20, 'x') + "end";
  Rig rig;
  SUBCASE("it takes them") {
    rig.ready();
    rig.run();
    rig.feed(picture(image));
    const auto parts = rig.sent<link::Preview>();
    REQUIRE(parts.size() > 2);
    std::string whole("\0\0\0\4", 4);
    for (const link::Preview& part : parts) {
      CHECK(part.frame.size() <= link::kPartBytes);
      CHECK(part.more == (&part != &parts.back()));
      whole += part.frame;
    }
    CHECK(comfy::decode_frame(whole)->payload == image);
    rig.feed(picture(std::string(link::kResultBytesMax, 'x')));
    CHECK(rig.sent<link::Preview>().empty());
  }
  SUBCASE("it is an older one") {
    rig.settings = {};
    rig.ready();
    rig.run();
    rig.feed(picture(image));
    CHECK(rig.sent<link::Preview>().empty());
  }
}

TEST_CASE("results and events that come while there is no link are told in their order when there is one") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.lose_link();
  rig.engine("executing", R"("node":"12")");
  rig.feed(picture("1"));
  rig.feed(picture("2"));
  rig.engine("executing", R"("node":"13")");
  rig.feed(picture("3"));
  rig.feed(picture("not kept", comfy::ImageFormat::jpeg));
  rig.join();
  CHECK(said(rig) == Texts{"execution_start", "executing", "1", "2", "executing", "3"});
}

TEST_CASE("of what is too much for the memory only the oldest results wait for a link") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.lose_link();
  for (char mark = 'a'; mark <= 'e'; ++mark) rig.feed(picture(std::string(20 << 20, 'x') + mark));
  rig.join();
  std::size_t bytes = 0;
  for (const link::Preview& part : rig.sent<link::Preview>()) bytes += part.frame.size();
  CHECK(bytes > 60 << 20);
  CHECK(bytes <= 64 << 20);
}

TEST_CASE("events that are too much for the memory go, the oldest first, and the results among them stay") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.lose_link();
  std::size_t events = 0;
  const auto tell = [&](const std::string& type, std::size_t bytes) {
    rig.engine(type, fmt::format(R"("node":"5","text":"{}{:04}")", std::string(bytes, 'x'), events++));
  };
  const auto fill = [&](char mark) { rig.feed(picture(std::string(20 << 20, 'x') + mark)); };
  rig.feed(picture("1"));
  fill('2');
  SUBCASE("by their bytes") {
    for (int i = 0; i < 20; ++i) tell("executed", 1 << 20);
  }
  SUBCASE("by their number") {
    for (int i = 0; i < 300; ++i) tell("executed", 10);
  }
  SUBCASE("progress, of which the newest is kept") {
    for (int i = 0; i < 20; ++i) tell("progress", 1 << 20);
  }
  fill('3');
  fill('4');
  rig.join();
  std::size_t bytes = 0, results = 0, shown = 0;
  std::string newest;
  for (const Send& send : rig.all<Send>()) {
    if (const auto* frame = std::get_if<link::Preview>(&send.message)) results += frame->more ? 0 : 1;
    const auto* event = std::get_if<link::Event>(&send.message);
    if (event == nullptr || event->n == 1) continue;  // where the run is
    bytes += event->json.size();
    ++shown;
    newest = event->json;
  }
  CHECK(results == 4);
  CHECK(shown > 0);
  CHECK(shown < 256);
  CHECK(bytes <= 16 << 20);
  CHECK(newest.find(fmt::format("{:04}\"", events - 1)) != std::string::npos);
}

TEST_CASE(
    "what a custom node sends of its own goes to whose job runs, as it is; what ComfyUI tells all does not") {
  Rig rig;
  rig.ready();
  const auto tell = [&](std::string type, std::string data) {
    rig.feed(EngineEvent{0, fmt::format(R"({{"type":"{}","data":{}}})", type, data)});
    return said(rig);
  };
  CHECK(tell("my_pack.progress", "{}").empty());  // nobody's job runs
  rig.run();
  for (const std::string data : {R"({"node":"5","value":[1,2.5,null]})", R"(["a",1])", R"("text")", "null"}) {
    CHECK(tell("my_pack.progress", data) == Texts{"my_pack.progress"});
    CHECK(rig.only_sent<link::Event>().job == kJob.job);
    CHECK(data_of(rig.only_sent<link::Event>()) == data);
  }
  for (const char* type :
       {"status", "feature_flags", "logs", "executing", "progress", "notification", "assets.seed.started",
        "cm-queue-status", "manager-terminal-feedback", "atelier.queue", "execution_error"}) {
    CAPTURE(type);
    CHECK(tell(type, R"({"node":"5"})").empty());
  }
  rig.finish_run();
  CHECK(tell("my_pack.progress", "{}").empty());
}

TEST_CASE("a custom node that talks without end is cut, each second anew") {
  Rig rig;
  rig.ready();
  rig.run();
  const auto tell = [&](std::size_t bytes) {
    rig.feed(EngineEvent{0, fmt::format(R"({{"type":"chatter","data":"{}"}})", std::string(bytes, 'x'))});
    return rig.sent<link::Event>().size();
  };
  CHECK(tell(300 << 10) == 0);  // one larger than may be
  std::size_t passed = 0;
  for (int i = 0; i < 500; ++i) passed += tell(10);
  CHECK(passed == 100);
  rig.advance(milliseconds(1000));
  passed = 0;
  for (int i = 0; i < 50; ++i) passed += tell(200 << 10);
  CHECK(passed == 10);
  rig.engine("executing", R"("node":"3")");  // ComfyUI's own word is none of it
  CHECK(rig.sent<link::Event>().size() == 1);
}

TEST_CASE("what comes without a run id after a run's end is not the next one's") {
  Rig rig;
  rig.ready();
  rig.run();
  rig.gateway(link::Stop{kJob.job, kJob.epoch, "cancelled"});
  // Its end is seen by asking, while its last words are still on their way.
  rig.feed(RunAsked{kJob, RunPlace::running, {}});
  rig.advance(milliseconds(1000));
  RunHistory history;
  history.outcome = link::Outcome::cancelled;
  rig.feed(RunAsked{kJob, RunPlace::done, history});
  rig.post(kNext);
  rig.feed(RunAsked{kNext, RunPlace::running, {}});
  rig.feed(nameless("late"));
  CHECK(said(rig).empty());
  rig.feed(EngineEvent{0, R"({"type":"my_pack.done","data":{}})"});
  CHECK(said(rig).empty());
  rig.feed(picture("late"));
  CHECK(said(rig).empty());
  rig.engine("execution_start", R"("timestamp":1)", kNext);
  rig.feed(nameless("mine"));
  CHECK(rig.only_sent<link::Preview>().job == kNext.job);
}

TEST_CASE("an engine that is not read on is not asked for its run") {
  Rig rig;
  rig.ready();
  rig.run();
  for (int second = 0; second < 60; ++second) {
    rig.feed(EngineUnread{0});
    rig.advance(milliseconds(1000));
    CHECK(rig.count<AskRun>() == 0);
  }
  rig.advance(kSilence);
  CHECK(rig.count<AskRun>() == 1);
}

link::Lease with_inputs() {
  link::Lease lease = Rig::lease();
  lease.inputs.push_back({"3d/cup.glb", link::FileType::input, sha256("cup"), 3});
  lease.inputs.push_back({"faces/1.png", link::FileType::input, sha256("one"), 3, "faces"});
  return lease;
}

TEST_CASE("the worker's names become the participant's own, wherever they stand") {
  const OwnNames names(with_inputs());
  const std::string cup = comfy::worker_input_name("3d/cup.glb", sha256("cup"));
  const std::string mark = cup.substr(3, 16);
  CHECK(names.restore("Could not load /comfy/input/" + cup + ": broken") ==
        "Could not load /comfy/input/3d/cup.glb: broken");
  CHECK(names.restore(mark + "-cup and " + mark + "-cup.glb") == "cup and cup.glb");
  CHECK(names.restore("/comfy/output/atelier/7-1/trip/cat_00001_.png") ==
        "/comfy/output/trip/cat_00001_.png");
  CHECK(names.restore(R"(["atelier/7-1/cat","atelier/7-1"])") == R"(["cat",""])");
  for (const std::string other : {"atelier/7-12/cat", "atelier/7-1-x", "myatelier/7-1/cat",
                                  "0123456789abcdef-cup.glb", "-", "a-b", ""}) {
    CHECK(names.restore(other) == other);
  }
  CHECK(OwnNames().restore("atelier/7-1/cat") == "atelier/7-1/cat");
  const auto folder = names.restore(comfy::worker_input_name("faces", sha256("x")) + "/1.png");
  CHECK(folder.ends_with("-faces/1.png"));  // of another folder
}

TEST_CASE("errors, texts and reports that leave the agent name the participant's own files") {
  Rig rig;
  rig.ready();
  rig.gateway(with_inputs());
  rig.feed(JobFetched{kJob, {}});
  rig.feed(RunPosted{kJob, PostResult::accepted, ""});
  rig.engine("execution_start", R"("timestamp":1)");
  const std::string cup = comfy::worker_input_name("3d/cup.glb", sha256("cup"));
  rig.feed(EngineFrame{0, comfy::encode_text("4", "reading " + cup)});
  CHECK(rig.only_sent<link::Preview>().frame.ends_with("reading 3d/cup.glb"));
  rig.feed(EngineEvent{0, fmt::format(R"({{"type":"my_pack.read","data":{{"file":"{}"}}}})", cup)});
  CHECK(data_of(rig.only_sent<link::Event>()) == R"({"file":"3d/cup.glb"})");
  rig.engine("executed", fmt::format(R"("node":"4","output":{{"text":["{}"]}})", cup));
  rig.collected("4", {});
  CHECK(rig.only_sent<link::Commit>().ui == R"({"text":["3d/cup.glb"]})");
  rig.gateway(link::Committed{kJob.job, kJob.epoch, "4", {}});
  rig.engine(
      "execution_error",
      fmt::format(R"("node_id":"5","exception_message":"no {}","exception_type":"E","traceback":["in {}"],)"
                  R"("current_inputs":{{"filename_prefix":["atelier/7-1/cat"]}})",
                  cup, cup));
  rig.engine_ends();
  RunHistory history;
  history.outcome = link::Outcome::failed;
  history.report = fmt::format(
      R"({{"status":{{"messages":[["execution_error",{{"exception_message":"{}"}}]]}},"meta":{{}}}})", cup);
  rig.feed(RunAsked{kJob, RunPlace::done, history});
  rig.no_rest();
  const auto ended = rig.only_sent<link::Ended>();
  CHECK(ended.reason == "no 3d/cup.glb");
  for (const std::string& text : {ended.event, ended.report}) {
    CHECK(text.find("3d/cup.glb") != std::string::npos);
    CHECK(text.find("-cup.glb") == std::string::npos);
    CHECK(text.find("atelier/") == std::string::npos);
  }
}

TEST_CASE("long texts travel whole up to 2 MB; of longer ones it is said how much was left out") {
  Rig rig;
  std::size_t most = link::kJsonBytesMax;
  SUBCASE("a gateway that takes as much") {}
  SUBCASE("an older one") {
    rig.settings = {};
    most = link::kFormerJsonBytesMax;
  }
  rig.ready();
  rig.run();
  const auto shown = [&](std::size_t bytes, std::string node) {
    rig.engine("executed",
               fmt::format(R"("node":"{}","output":{{"text":["{}"]}})", node, std::string(bytes, 'x')));
    rig.collected(node, {});
    const std::string ui = rig.only_sent<link::Commit>().ui;
    const auto text = comfy::Json::parse(ui).value().value().at("text").at(0);
    return std::string(text.as_string());
  };
  CHECK(shown(most - 100, "1") == std::string(most - 100, 'x'));
  CHECK(shown(most + 1, "2").ends_with(" bytes left out)"));
  rig.feed(EngineFrame{0, comfy::encode_text("4", std::string(most, 'x'))});
  CHECK(rig.sent<link::Preview>().back().frame.ends_with("xxx"));
  rig.feed(EngineFrame{0, comfy::encode_text("4", std::string(most + 3, 'x'))});
  CHECK(rig.sent<link::Preview>().back().frame.ends_with("xxx... (3 bytes left out)"));
}

}  // namespace
}  // namespace atelier::agent
