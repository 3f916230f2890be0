// SPDX-License-Identifier: MIT
#include "gateway/live/live_bus.hpp"

#include <doctest/doctest.h>

#include "gateway/byte_lru.hpp"

namespace atelier::gateway {
namespace {

LiveFrame frame(std::uint64_t job, std::uint64_t epoch, std::string type, std::string bytes,
                LiveKind kind = LiveKind::event) {
  LiveFrame made;
  made.kind = kind;
  made.participant = ParticipantId{7};
  made.job = JobId{job};
  made.epoch = Epoch{epoch};
  made.type = std::move(type);
  made.bytes = std::make_shared<const std::string>(std::move(bytes));
  return made;
}
LiveFrame executed(std::uint64_t epoch, std::string node) {
  LiveFrame made = frame(1, epoch, "", "{}", LiveKind::executed);
  made.node = std::move(node);
  return made;
}

TEST_CASE("an event that is repeated after a break of the link is shown once, and to a new process") {
  LiveBus bus;
  std::vector<std::string> heard;
  const auto listening = bus.subscribe([&](const LiveFrame& frame) { heard.push_back(*frame.bytes); });
  const auto say = [&](std::uint64_t number, std::uint64_t epoch, std::string bytes) {
    LiveFrame made = frame(1, epoch, "executing", std::move(bytes));
    made.number = number;
    bus.publish(std::move(made));
  };
  say(4, 1, "four");
  say(7, 1, "seven");
  say(4, 1, "four");
  say(7, 1, "seven");
  say(9, 1, "nine");
  bus.publish(frame(1, 1, "progress", "without"));
  say(1, 2, "the next epoch counts anew");
  CHECK(heard == std::vector<std::string>{"four", "seven", "nine", "without", "the next epoch counts anew"});
}

TEST_CASE("the snapshot of a job holds the last event of each kind that a late socket needs") {
  LiveBus bus;
  CHECK(bus.snapshot(JobId{1}) == nullptr);
  bus.publish(frame(1, 1, "execution_start", "start"));
  bus.publish(frame(1, 1, "execution_cached", "cached"));
  bus.publish(frame(1, 1, "executing", "node 1"));
  bus.publish(frame(1, 1, "progress_state", "half"));
  bus.publish(frame(1, 1, "progress_state", "all"));
  bus.publish(frame(1, 1, "progress", "tick"));  // not kept: progress_state says more
  bus.publish(executed(1, "9"));
  bus.publish(frame(1, 1, "", "picture", LiveKind::preview));
  const LiveSnapshot* snapshot = bus.snapshot(JobId{1});
  REQUIRE(snapshot != nullptr);
  CHECK(snapshot->epoch == Epoch{1});
  CHECK(*snapshot->execution_start == "start");
  CHECK(*snapshot->execution_cached == "cached");
  CHECK(*snapshot->executing == "node 1");
  CHECK(*snapshot->progress_state == "all");
  REQUIRE(snapshot->executed.size() == 1);
  CHECK(snapshot->executed[0].node == "9");
  REQUIRE(snapshot->preview != nullptr);
  CHECK(*snapshot->preview->bytes == "picture");
  CHECK(bus.snapshot(JobId{2}) == nullptr);
}

TEST_CASE("results and texts are not kept for who comes later") {
  LiveBus bus;
  bus.publish(frame(1, 1, "", "picture", LiveKind::preview));
  bus.publish(frame(1, 1, "", "result", LiveKind::result));
  LiveFrame text = frame(1, 1, "", "text", LiveKind::preview);
  text.preview_kind = 3;
  bus.publish(std::move(text));
  CHECK(*bus.snapshot(JobId{1})->preview->bytes == "picture");
}

TEST_CASE("the next node's start takes the preview of the node before away") {
  LiveBus bus;
  bus.publish(frame(1, 1, "executing", "node 1"));
  bus.publish(frame(1, 1, "", "picture", LiveKind::preview));
  bus.publish(frame(1, 1, "executing", "node 2"));
  CHECK(bus.snapshot(JobId{1})->preview == nullptr);
}

TEST_CASE("a newer epoch starts over but keeps what was committed, and an older one is not heard any more") {
  LiveBus bus;
  std::vector<std::string> heard;
  const auto listening = bus.subscribe([&](const LiveFrame& f) { heard.push_back(*f.bytes); });
  bus.publish(frame(1, 1, "execution_start", "first"));
  bus.publish(frame(1, 1, "progress_state", "half"));
  bus.publish(executed(1, "9"));
  bus.publish(frame(1, 2, "execution_start", "second"));
  bus.publish(frame(1, 1, "progress_state", "ghost"));
  CHECK(heard == std::vector<std::string>{"first", "half", "{}", "second"});
  const LiveSnapshot* snapshot = bus.snapshot(JobId{1});
  CHECK(snapshot->epoch == Epoch{2});
  CHECK(*snapshot->execution_start == "second");
  CHECK(snapshot->progress_state == nullptr);
  CHECK(snapshot->executed.size() == 1);
}

TEST_CASE("a forgotten job has no snapshot, and others keep theirs") {
  LiveBus bus;
  bus.publish(frame(1, 3, "execution_start", "one"));
  bus.publish(frame(2, 1, "execution_start", "two"));
  bus.forget(JobId{1});
  bus.forget(JobId{99});
  CHECK(bus.snapshot(JobId{1}) == nullptr);
  CHECK(bus.snapshot(JobId{2}) != nullptr);
}

TEST_CASE("everybody who listens hears a frame at once, until the subscription goes") {
  LiveBus bus;
  int first = 0, second = 0;
  auto kept = bus.subscribe([&](const LiveFrame&) { ++first; });
  {
    const auto gone = bus.subscribe([&](const LiveFrame&) { ++second; });
    bus.publish(frame(1, 1, "progress", ""));
  }
  bus.publish(frame(1, 1, "progress", ""));
  CHECK(first == 2);
  CHECK(second == 1);
  kept = LiveBus::Subscription();
  bus.publish(frame(1, 1, "progress", ""));
  CHECK(first == 2);
}

TEST_CASE("a snapshot keeps at most a thousand outputs") {
  LiveBus bus;
  for (int i = 0; i < 1'005; ++i) bus.publish(executed(1, std::to_string(i)));
  CHECK(bus.snapshot(JobId{1})->executed.size() == 1'000);
}

std::shared_ptr<const std::string> text(std::string value) {
  return std::make_shared<const std::string>(std::move(value));
}

TEST_CASE("a cache bounded by bytes drops what was not used for the longest time") {
  ByteLru<int, std::string> cache(10);
  cache.put(1, text("a"), 4);
  cache.put(2, text("b"), 4);
  CHECK(*cache.find(1) == "a");  // now 2 is the oldest
  cache.put(3, text("c"), 4);
  CHECK(cache.find(2) == nullptr);
  CHECK(*cache.find(1) == "a");
  CHECK(*cache.find(3) == "c");
  CHECK(cache.bytes() == 8);
}

TEST_CASE("a cached value is replaced with its bytes, erased with its bytes, and lives on with who has it") {
  ByteLru<int, std::string> cache(10);
  cache.put(1, text("old"), 9);
  const auto held = cache.find(1);
  cache.put(1, text("new"), 3);
  CHECK(cache.bytes() == 3);
  CHECK(*cache.find(1) == "new");
  CHECK(*held == "old");
  cache.erase(1);
  cache.erase(1);
  CHECK(cache.bytes() == 0);
  CHECK(cache.find(1) == nullptr);
}

TEST_CASE("a value above the bound is not kept, and takes the place of nothing but its own key") {
  ByteLru<int, std::string> cache(10);
  cache.put(1, text("a"), 5);
  cache.put(2, text("b"), 5);
  cache.put(2, text("too big"), 11);
  CHECK(cache.find(2) == nullptr);
  CHECK(*cache.find(1) == "a");
  CHECK(cache.bytes() == 5);
  cache.put(3, text("all of it"), 10);
  CHECK(cache.find(1) == nullptr);
  CHECK(cache.bytes() == 10);
}

}  // namespace
}  // namespace atelier::gateway
