// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include "journal/memory/memory_journal.hpp"
#include "runtime/task_group.hpp"
#include "runtime/virtual_runtime.hpp"
#include "workshop/workshop.hpp"

namespace atelier::workshop {
namespace {

constexpr milliseconds kLimit{10 * 60'000};

/// One process of a workshop with a limit for jobs, on a store that outlives it.
struct Process {
  explicit Process(journal::memory::MemoryStore& store, milliseconds clock_ahead = {})
      : journal((runtime.advance(clock_ahead), journal::memory::open(runtime, store))),
        workshop(runtime, *journal, options()),
        tasks(runtime) {
    tasks.spawn("open", open());
    runtime.run_ready();
  }
  ~Process() {
    tasks.spawn("stop", workshop.stop(runtime.now() + milliseconds{10'000}));
    runtime.advance(milliseconds{2'000});
  }
  static WorkshopOptions options() {
    WorkshopOptions options;
    options.policy.job_limit = kLimit;
    options.lease_ttl = milliseconds{24 * 3'600'000};  // only the limit matters here
    return options;
  }
  awaitable<void> open() {
    REQUIRE((co_await workshop.open()).has_value());
    workshop.start();
  }
  void post(core::Event event) {
    workshop.post(std::move(event));
    runtime.run_ready();
  }
  [[nodiscard]] const core::JobFacts* job() const { return workshop.core().job(JobId{1}); }
  void join() {
    core::WorkerJoined joined;
    joined.name = "gpu";
    joined.gateway = workshop.gateway();
    joined.boot = Key128{1, 1};
    core::JoinedSlot slot;
    slot.capability = sha256("all");
    slot.engine_start = 1;
    joined.slots.push_back(slot);
    post(joined);
  }
  void start_job() {
    core::Capability capability;
    capability.hash = sha256("all");
    post(capability);
    join();
    core::Submitted submitted;
    submitted.participant = ParticipantId{1};
    submitted.prompt_id = "one";
    post(submitted);
    REQUIRE(job()->lease.has_value());
    post(core::Started{JobId{1}, Epoch{1}});
  }

  VirtualRuntime runtime;
  std::unique_ptr<journal::Journal> journal;
  Workshop workshop;
  TaskGroup tasks;
};

}  // namespace

TEST_CASE("a job that outruns its limit while the server runs ends") {
  journal::memory::MemoryStore store;
  Process process(store);
  process.start_job();
  process.runtime.advance(kLimit);
  CHECK(process.job() != nullptr);
  process.runtime.advance(milliseconds{2 * 60'000});
  CHECK(process.job() == nullptr);
}

TEST_CASE("time in which the server was down, or in which its clock was set, is nothing that a job has run") {
  journal::memory::MemoryStore store;
  {
    Process process(store);
    process.start_job();
  }
  Process again(store, kLimit + milliseconds{5 * 60'000});
  REQUIRE(again.job() != nullptr);
  again.runtime.advance(milliseconds{50'000});
  again.join();  // its agent has kept the job, and says so
  REQUIRE(again.job()->state == core::JobState::running);
  again.runtime.stand_still(milliseconds{15'000});  // that is no reason to forget it
  again.runtime.advance(kLimit - milliseconds{15'000});
  REQUIRE(again.job() != nullptr);
  CHECK(again.job()->state == core::JobState::running);
  again.runtime.advance(milliseconds{20'000});
  CHECK(again.job() == nullptr);  // an agent that keeps no limit
}

}  // namespace atelier::workshop
