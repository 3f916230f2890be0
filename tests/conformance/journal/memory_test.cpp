// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "journal/memory/memory_journal.hpp"
#include "runtime/task_group.hpp"
#include "runtime/virtual_runtime.hpp"
#include "suite.hpp"

using namespace std::chrono_literals;

namespace atelier::journal::memory {
namespace {

class MemoryRig final : public Rig {
 public:
  explicit MemoryRig(milliseconds commit_latency) { store.commit_latency = commit_latency; }

  Runtime& runtime() override { return virtual_runtime; }
  Result<std::unique_ptr<Journal>> open() override { return memory::open(virtual_runtime, store); }
  std::unique_ptr<StoreReader> reader() override { return std::make_unique<MemoryStore>(store); }
  void run_until(const bool& done) override {
    virtual_runtime.run_ready();
    while (!done) REQUIRE(virtual_runtime.step());
  }
  void set_full(bool full) override { store.set_full(full); }
  void break_disk() override { store.plan(Fault::io); }

  VirtualRuntime virtual_runtime;
  MemoryStore store;
};

TEST_CASE("the memory journal keeps the contract") {
  journal_suite([] { return std::make_unique<MemoryRig>(0ms); });
}
TEST_CASE("the memory journal keeps the contract when commits take time") {
  journal_suite([] { return std::make_unique<MemoryRig>(2ms); });
}

TEST_CASE("two journals on one store see each other's entries, in one order") {
  MemoryRig rig(0ms);
  const auto [one, two] = open_two_that_see_each_other(rig);

  bool woken = false;
  TaskGroup group(rig.virtual_runtime);
  auto wait = [&]() -> awaitable<void> { woken = co_await two->wait(); };
  group.spawn("wait", wait());
  rig.virtual_runtime.advance(1h);
  CHECK(!woken);
  REQUIRE(rig.get(one->append(submits(3, 1, 0))));
  rig.virtual_runtime.run_ready();
  CHECK(woken);
}

TEST_CASE("a lost answer is told by the next append, and nothing is stored twice") {
  MemoryRig rig(1ms);
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  rig.store.plan(Fault::answer_lost);
  CHECK(rig.get(journal->append(submits(1, 2, 10))).error().code == Errc::unavailable);
  auto next = rig.get(journal->append(submits(2, 1, 10)));
  REQUIRE(next);
  CHECK(next->size() == 3);
}

TEST_CASE("a crash before or after the commit ends the server, and a new one finds nothing or all of it") {
  for (const Fault fault : {Fault::crash_before_commit, Fault::crash_after_commit}) {
    CAPTURE(static_cast<int>(fault));
    MemoryRig rig(1ms);
    std::vector<core::Entry> entries;
    auto journal = open_and_replay(rig, entries);
    bool crashed = false, answered = false;
    rig.store.on_crash = [&] { crashed = true; };
    rig.store.plan(fault, 2);
    REQUIRE(rig.get(journal->append(submits(1, 1, 10))));
    auto group = std::make_unique<TaskGroup>(rig.virtual_runtime);
    auto append = [&]() -> awaitable<void> {
      answered = (co_await journal->append(submits(2, 3, 10))).has_value();
    };
    group->spawn("append", append());
    rig.run_until(crashed);
    rig.virtual_runtime.advance(1h);
    CHECK(!answered);
    journal.reset();
    group.reset();
    rig.virtual_runtime.advance(1s);
    CHECK(!answered);
    entries.clear();
    journal = open_and_replay(rig, entries);
    CHECK(entries.size() == (fault == Fault::crash_before_commit ? 1 : 4));
  }
}

TEST_CASE("an append under way when its server dies stores nothing") {
  MemoryRig rig(5ms);
  std::vector<core::Entry> entries;
  auto journal = open_and_replay(rig, entries);
  TaskGroup group(rig.virtual_runtime);
  std::optional<Errc> code;
  auto append = [&]() -> awaitable<void> {
    auto result = co_await journal->append(submits(1, 1, 10));
    if (!result) code = result.error().code;
  };
  group.spawn("append", append());
  rig.virtual_runtime.advance(2ms);
  journal.reset();
  rig.virtual_runtime.advance(1s);
  CHECK(code == Errc::cancelled);
  CHECK(rig.store.last() == Sequence{0});
}

}  // namespace
}  // namespace atelier::journal::memory
