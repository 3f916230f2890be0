// SPDX-License-Identifier: MIT
#include "runtime/virtual_runtime.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"

using namespace std::chrono_literals;

namespace atelier {
namespace {

TEST_CASE("virtual timers fire in order of time, then in the order in which they were set") {
  VirtualRuntime runtime;
  TaskGroup group(runtime);
  std::vector<int> fired;
  auto wait = [&](milliseconds after, int name) -> awaitable<void> {
    if (co_await runtime.sleep_for(after)) fired.push_back(name);
  };
  group.spawn("c", wait(30ms, 3));
  group.spawn("a", wait(10ms, 1));
  group.spawn("b", wait(10ms, 2));
  runtime.advance(10ms);
  CHECK(fired == std::vector<int>{1, 2});
  runtime.advance(1h);
  CHECK(fired == std::vector<int>{1, 2, 3});
}

TEST_CASE("a stopped group cancels what waits and has no members left") {
  VirtualRuntime runtime;
  TaskGroup group(runtime);
  bool cancelled = false;
  auto work = [&]() -> awaitable<void> { cancelled = !co_await runtime.sleep_for(24h); };
  group.spawn("work", work());
  runtime.run_ready();
  CHECK(group.size() == 1);
  bool all_ended = false;
  TaskGroup outer(runtime);
  auto stop = [&]() -> awaitable<void> { all_ended = co_await group.stop(runtime.now() + 1s); };
  outer.spawn("stop", stop());
  runtime.run_ready();
  CHECK(cancelled);
  CHECK(all_ended);
  CHECK(group.size() == 0);
}

TEST_CASE("a signal wakes its waiters before the deadline and says so") {
  VirtualRuntime runtime;
  TaskGroup group(runtime);
  Signal signal(runtime);
  std::vector<bool> notified;
  auto work = [&]() -> awaitable<void> {
    notified.push_back(co_await signal.wait(runtime.now() + 1s));
    notified.push_back(co_await signal.wait(runtime.now() + 1s));
  };
  group.spawn("work", work());
  runtime.run_ready();
  signal.notify_all();
  runtime.advance(2s);
  CHECK(notified == std::vector<bool>{true, false});
}

TEST_CASE("an answer may come before or after its wait, and a second one is ignored") {
  VirtualRuntime runtime;
  TaskGroup group(runtime);
  Answer<int> early, late;
  early.give(1);
  early.give(9);
  int sum = 0;
  auto work = [&]() -> awaitable<void> {
    sum += *co_await early.wait();
    sum += *co_await late.wait();
  };
  group.spawn("work", work());
  runtime.run_ready();
  late.give(20);
  runtime.run_ready();
  CHECK(sum == 21);
}

TEST_CASE("blocking work comes back with its result") {
  VirtualRuntime runtime;
  TaskGroup group(runtime);
  int got = 0;
  auto work = [&]() -> awaitable<void> {
    auto blocking = [] { return 42; };
    got = co_await run_blocking(runtime.file_pool(), std::move(blocking));
  };
  group.spawn("work", work());
  runtime.run_ready();
  CHECK(got == 42);
}

}  // namespace
}  // namespace atelier
