// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "journal/memory/memory_journal.hpp"
#include "runtime/task_group.hpp"
#include "runtime/virtual_runtime.hpp"
#include "workshop/workshop.hpp"

namespace atelier::workshop {
namespace {

/// A workshop on a store that outlives it.
class Life {
 public:
  explicit Life(journal::memory::MemoryStore& store, std::uint64_t checkpoint_entries = 20)
      : journal(journal::memory::open(runtime, store)),
        workshop(runtime, *journal, options(checkpoint_entries)),
        tasks(runtime) {
    tasks.spawn("open", open());
    runtime.run_ready();
    REQUIRE(opened);
  }

  ~Life() {
    tasks.spawn("stop", workshop.stop(runtime.now() + milliseconds{10'000}));
    runtime.advance(milliseconds{2'000});
  }

  static WorkshopOptions options(std::uint64_t checkpoint_entries) {
    WorkshopOptions options;
    options.admission = {0, 0};
    options.checkpoint_entries = checkpoint_entries;
    return options;
  }

  awaitable<void> open() {
    opened = (co_await workshop.open()).has_value();
    workshop.start();
  }

  awaitable<void> submit(std::uint64_t n) {
    core::Submitted event;
    event.participant = {1 + n % 3};
    event.prompt_id = fmt::format("p{}", n);
    event.body = sha256(event.prompt_id);
    if (co_await workshop.submit(std::move(event), std::make_shared<const std::string>("{}"))) ++accepted;
  }

  void submit_all(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t n = first; n < first + count; ++n) {
      tasks.spawn("submit", submit(n));
      runtime.run_ready();
    }
  }

  VirtualRuntime runtime;
  std::unique_ptr<journal::Journal> journal;
  Workshop workshop;
  TaskGroup tasks;
  bool opened = false;
  std::uint64_t accepted = 0;
};

TEST_CASE("after so many entries the state is written beside the loop, and a restart begins there") {
  journal::memory::MemoryStore store;
  std::vector<core::CheckpointRecord> state;
  {
    Life life(store);
    life.submit_all(0, 15);
    CHECK(life.workshop.counters().checkpoint == Sequence{0});
    life.submit_all(15, 10);
    CHECK(life.accepted == 25);
    CHECK(life.workshop.counters().checkpoint == Sequence{20});
    state = life.workshop.core().export_facts();
  }
  Life again(store, 0);
  CHECK(again.workshop.counters().events == 25 + 2 - 20 + 1);  // workshop_opened, gateway_joined twice
  CHECK(again.workshop.core().jobs_waiting() == 25);
  const auto restored = again.workshop.core().export_facts();
  const auto is_job = [](const core::CheckpointRecord& r) {
    return std::holds_alternative<core::JobFacts>(r);
  };
  CHECK(std::ranges::count_if(state, is_job) == 25);
  for (const core::CheckpointRecord& record : state) {
    if (is_job(record)) CHECK(std::ranges::find(restored, record) != restored.end());
  }
}

TEST_CASE("the larger the state, the rarer it is written; a full disk only puts it off") {
  journal::memory::MemoryStore store;
  Life life(store);
  life.submit_all(0, 30);
  const Sequence first = life.workshop.counters().checkpoint;
  REQUIRE(first == Sequence{20});  // with 18 jobs, their participants and the workshop: 24 records or so
  life.submit_all(30, 10);
  CHECK(life.workshop.counters().checkpoint == first);
  life.submit_all(40, 10);
  CHECK(life.workshop.counters().checkpoint == first);
  life.submit_all(50, 40);
  const Sequence second = life.workshop.counters().checkpoint;
  CHECK(second.value > 60);
  CHECK(second.value < 90);

  store.set_full(true);  // meets a checkpoint that is due, and the submit that made it due
  life.submit_all(90, 1);
  store.set_full(false);
  life.runtime.advance(milliseconds{5'000});
  life.submit_all(91, 300);
  CHECK(life.workshop.counters().checkpoint.value > second.value + 100);
  CHECK(life.accepted == 390);
}

}  // namespace
}  // namespace atelier::workshop
