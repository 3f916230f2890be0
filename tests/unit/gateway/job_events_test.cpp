// SPDX-License-Identifier: MIT
// The order in which a participant sees a job's events (core.md 6, "Order of events"; CI B3, B5).
#include "gateway/participant/job_events.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

namespace atelier::gateway {
namespace {

constexpr Instant kStart{1'000};

LiveFrame event(std::string type, std::string node = "", std::string fields = "") {
  LiveFrame frame;
  frame.kind = LiveKind::event;
  frame.job = JobId{1};
  frame.epoch = Epoch{1};
  frame.bytes = std::make_shared<const std::string>(
      fmt::format(R"({{"type":"{}","data":{{"node":"{}"{}}}}})", type, node, fields));
  frame.type = std::move(type);
  frame.node = std::move(node);
  return frame;
}

LiveFrame stands(std::string node) {
  LiveFrame frame = event("executed", std::move(node));
  frame.kind = LiveKind::executed;
  return frame;
}

/// Feeds frames and says in words what is shown.
struct Seen {
  explicit Seen(std::set<std::string> shown = {}) : events(std::move(shown)) {}
  std::string at(Instant now, const LiveFrame& frame) {
    std::vector<Shown> out;
    events.on_frame(now, frame, out);
    return words(out);
  }
  std::string ended(Instant now, const std::vector<std::string>& linked) {
    std::vector<Shown> out;
    events.on_ended(now, linked, out);
    return words(out);
  }
  std::string time(Instant now) {
    std::vector<Shown> out;
    events.on_time(now, out);
    return words(out);
  }
  static std::string words(const std::vector<Shown>& out) {
    std::string text;
    for (const Shown& shown : out) {
      if (!text.empty()) text += ' ';
      if (shown.kind == Shown::Kind::ending) text += "END";
      if (shown.kind == Shown::Kind::executed) text += "files:" + shown.frame.node;
      if (shown.kind == Shown::Kind::engine_event) text += shown.frame.type + ":" + shown.frame.node;
    }
    return text;
  }
  JobEvents events;
};

TEST_CASE("what follows an executed waits until its files stand, and is shown in the engine's order") {
  Seen seen;
  CHECK(seen.at(kStart, event("executing", "1")) == "executing:1");
  CHECK(seen.at(kStart, event("executed", "1")) == "");
  CHECK(seen.at(kStart, event("executing", "2")) == "");
  CHECK(seen.at(kStart, stands("1")) == "files:1 executing:2");
}

TEST_CASE("progress does not wait, and nothing waits longer than 300 ms") {
  Seen seen;
  CHECK(seen.at(kStart, event("executed", "1")) == "");
  CHECK(seen.at(kStart, event("progress_state")) == "progress_state:");
  CHECK(seen.at(kStart, event("executing", "2")) == "");
  REQUIRE(seen.events.deadline() == kStart + JobEvents::kBarrier);
  CHECK(seen.time(kStart + JobEvents::kBarrier) == "executing:2");
  CHECK(seen.at(kStart + milliseconds{500}, stands("1")) == "files:1");
}

TEST_CASE("the ending never overtakes an executed whose files stand") {
  Seen seen;
  CHECK(seen.at(kStart, event("executed", "1")) == "");
  CHECK(seen.ended(kStart, {"1"}) == "");
  CHECK(!seen.events.has_shown_end());
  CHECK(seen.at(kStart, stands("1")) == "files:1 END");
  CHECK(seen.events.has_shown_end());
  CHECK(seen.at(kStart, event("executing", "9")) == "");
}

TEST_CASE("an end that waits in vain is shown after two seconds") {
  Seen seen;
  CHECK(seen.ended(kStart, {"1"}) == "");
  CHECK(seen.time(kStart + JobEvents::kEndPatience) == "END");
}

TEST_CASE("an executed whose files were never committed holds up nothing once the job has ended") {
  Seen seen;
  CHECK(seen.at(kStart, event("executed", "1")) == "");
  CHECK(seen.ended(kStart, {}) == "END");
}

TEST_CASE("G8: the engine's own endings are swallowed: the face makes them when the history is there") {
  Seen seen;
  CHECK(seen.at(kStart, event("execution_success")) == "");
  CHECK(seen.at(kStart, event("execution_interrupted")) == "");
  CHECK(seen.at(kStart, event("executing")) == "");  // node null
  CHECK(seen.at(kStart, event("execution_error", "1")) == "");
}

TEST_CASE("G27: a blocked node is told in mid-run") {
  Seen seen;
  CHECK(seen.at(kStart, event("execution_error", "1", R"(,"exception_type":"ExecutionBlocked")")) ==
        "execution_error:1");
}

TEST_CASE("G22: a cached node is replayed: without output at once, with files as they stood") {
  Seen seen;
  CHECK(seen.at(kStart, event("executed", "1", R"(,"output":null)")) == "executed:1");
  CHECK(seen.at(kStart, event("executed", "2")) == "");
  CHECK(seen.at(kStart, stands("2")) == "files:2");
  CHECK(seen.at(kStart, event("executed", "2")) == "files:2");
}

TEST_CASE("after a restart nodes that stood before hold up nothing") {
  Seen seen({"1"});
  CHECK(seen.at(kStart, event("executed", "1")) == "");
  CHECK(seen.at(kStart, event("executing", "2")) == "executing:2");
  CHECK(seen.ended(kStart, {"1"}) == "END");
}

}  // namespace
}  // namespace atelier::gateway
