// SPDX-License-Identifier: MIT
#include "gateway/participant/job_events.hpp"

#include <doctest/doctest.h>

#include <utility>

namespace atelier::gateway {
namespace {

/// Feeds a JobEvents and writes down what it shows: "progress", "executing 4", "executed 9", "END".
struct Player {
  explicit Player(std::set<std::string> shown = {}) : events(std::move(shown)) {}

  void engine(std::string type, std::string node = {}, std::string json = "{}") {
    LiveFrame frame;
    frame.kind = LiveKind::event;
    frame.type = std::move(type);
    frame.node = std::move(node);
    frame.bytes = std::make_shared<const std::string>(std::move(json));
    std::vector<Shown> out;
    events.on_frame(now, frame, out);
    take(out);
  }
  /// The engine's own executed: a barrier.
  void engine_executed(const std::string& node) {
    engine("executed", node, R"({"type":"executed","data":{"output":{"images":[]}}})");
  }
  /// The files of the node stand.
  void stands(std::string node, std::string output = "files") {
    LiveFrame frame;
    frame.kind = LiveKind::executed;
    frame.node = std::move(node);
    frame.bytes = std::make_shared<const std::string>(std::move(output));
    std::vector<Shown> out;
    events.on_frame(now, frame, out);
    take(out);
  }
  void ended(const std::vector<std::string>& linked) {
    std::vector<Shown> out;
    events.on_ended(now, linked, out);
    take(out);
  }
  void pass(int ms) {
    now = now + milliseconds{ms};
    std::vector<Shown> out;
    events.on_time(now, out);
    take(out);
  }
  void take(const std::vector<Shown>& out) {
    for (const Shown& shown : out) {
      if (shown.kind == Shown::Kind::ending) {
        shown_now.push_back("END");
      } else if (shown.kind == Shown::Kind::executed) {
        shown_now.push_back("files of " + shown.frame.node);
      } else {
        shown_now.push_back(shown.frame.type + (shown.frame.node.empty() ? "" : " " + shown.frame.node));
      }
    }
  }
  std::vector<std::string> seen() { return std::exchange(shown_now, {}); }

  JobEvents events;
  Instant now{1'000};
  std::vector<std::string> shown_now;
};

using Texts = std::vector<std::string>;

TEST_CASE("events go through as they come while no files are awaited") {
  Player player;
  player.engine("execution_start");
  player.engine("execution_cached");
  player.engine("executing", "4");
  player.engine("progress", "4");
  player.engine("anything_of_a_custom_node");
  CHECK(player.seen() == Texts{"execution_start", "execution_cached", "executing 4", "progress 4",
                               "anything_of_a_custom_node"});
  CHECK_FALSE(player.events.deadline());
}

TEST_CASE("after executed the next events wait for the node's files, which are shown in its place") {
  Player player;
  player.engine_executed("9");
  player.engine("executing", "10");
  CHECK(player.seen() == Texts{});
  CHECK(player.events.deadline() == Instant{1'300});
  player.pass(299);
  CHECK(player.seen() == Texts{});
  player.stands("9");
  CHECK(player.seen() == Texts{"files of 9", "executing 10"});
  CHECK_FALSE(player.events.deadline());
}

TEST_CASE("after 300 ms without the files the events go on, and the files are shown when they stand") {
  Player player;
  player.engine_executed("9");
  player.engine("executing", "10");
  player.pass(300);
  CHECK(player.seen() == Texts{"executing 10"});
  player.engine("executing", "11");
  player.stands("9");
  CHECK(player.seen() == Texts{"executing 11", "files of 9"});
}

TEST_CASE("progress overtakes a barrier") {
  Player player;
  player.engine_executed("9");
  player.engine("executing", "10");
  player.engine("progress", "10");
  player.engine("progress_state");
  CHECK(player.seen() == Texts{"progress 10", "progress_state"});
}

TEST_CASE("a node that the engine reports again is shown again with its files, in its place") {
  Player player;
  player.stands("9");
  CHECK(player.seen() == Texts{"files of 9"});
  player.engine_executed("9");
  player.engine("executing", "10");
  CHECK(player.seen() == Texts{"files of 9", "executing 10"});
}

TEST_CASE("two nodes are shown in the engine's order, whichever files stand first") {
  Player player;
  player.engine_executed("8");
  player.engine("executing", "9");
  player.engine_executed("9");
  player.stands("9");
  CHECK(player.seen() == Texts{});
  player.stands("8");
  CHECK(player.seen() == Texts{"files of 8", "executing 9", "files of 9"});
}

TEST_CASE("each barrier has its own 300 ms") {
  Player player;
  player.engine_executed("8");
  player.now = player.now + milliseconds{200};
  player.engine_executed("9");
  player.engine("executing", "10");
  player.pass(100);
  CHECK(player.seen() == Texts{});
  CHECK(player.events.deadline() == Instant{1'500});
  player.pass(200);
  CHECK(player.seen() == Texts{"executing 10"});
}

TEST_CASE("the ending never overtakes files that stand in the folder") {
  Player player;
  player.engine_executed("9");
  player.engine("executing", "10");
  player.ended({"9"});
  CHECK(player.seen() == Texts{});
  CHECK(player.events.deadline() == Instant{1'300});
  player.pass(300);  // the barrier is given up, the ending is not
  CHECK(player.seen() == Texts{"executing 10"});
  CHECK(player.events.deadline() == Instant{3'000});
  player.stands("9");
  CHECK(player.seen() == Texts{"files of 9", "END"});
  CHECK(player.events.has_shown_end());
}

TEST_CASE("the ending waits two seconds for files whose word is lost, and nothing is shown after it") {
  Player player;
  player.ended({"9"});
  player.pass(1'999);
  CHECK(player.seen() == Texts{});
  player.pass(1);
  CHECK(player.seen() == Texts{"END"});
  CHECK_FALSE(player.events.deadline());
  player.stands("9");
  player.engine("executing", "1");
  player.ended({});
  player.pass(5'000);
  CHECK(player.seen() == Texts{});
}

TEST_CASE("a barrier without a commit does not hold up the ending") {
  Player player;
  player.engine_executed("9");
  player.engine("executing", "10");
  player.ended({});
  CHECK(player.seen() == Texts{"executing 10", "END"});
}

TEST_CASE("files without a node and files that stood before the start are not waited for") {
  Player player({"8"});
  player.ended({"", "8"});
  CHECK(player.seen() == Texts{"END"});
}

TEST_CASE("what stood before anybody listened makes no barrier") {
  Player player({"9"});
  player.engine_executed("9");
  player.engine("executing", "10");
  CHECK(player.seen() == Texts{"executing 10"});
}

TEST_CASE("G22: a cached node replayed with output null goes through as the engine sent it") {
  Player player;
  player.engine("executed", "9", R"({"type":"executed","data":{"node":"9","output":null}})");
  player.engine("executing", "10");
  CHECK(player.seen() == Texts{"executed 9", "executing 10"});
  CHECK_FALSE(player.events.deadline());
}

TEST_CASE("G27: the engine's own endings and messages of no job are swallowed, a blocked node is not") {
  Player player;
  player.engine("execution_success");
  player.engine("execution_interrupted");
  player.engine("execution_error", "9",
                R"({"type":"execution_error","data":{"exception_type":"ValueError"}})");
  player.engine("execution_error", "9", "not JSON");
  player.engine("executing", "");  // node null: the end of a prompt
  player.engine("status");
  player.engine("feature_flags");
  player.engine("logs");
  CHECK(player.seen() == Texts{});
  player.engine("execution_error", "9",
                R"({"type":"execution_error","data":{"exception_type":"ExecutionBlocked"}})");
  CHECK(player.seen() == Texts{"execution_error 9"});
}

TEST_CASE("in a second epoch a node that was committed in the first is shown again in its place") {
  Player player;
  player.engine("execution_start");
  player.engine_executed("9");
  player.stands("9", "first");
  player.seen();
  // The worker died; another one runs the job again from the start.
  player.engine("execution_start");
  player.engine("executing", "9");
  player.engine_executed("9");
  player.engine("executing", "10");
  CHECK(player.seen() == Texts{"execution_start", "executing 9", "files of 9", "executing 10"});
  player.ended({"9"});
  CHECK(player.seen() == Texts{"END"});
}

}  // namespace
}  // namespace atelier::gateway
