// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "journal/memory/memory_journal.hpp"
#include "runtime/task_group.hpp"
#include "runtime/virtual_runtime.hpp"
#include "workshop/workshop.hpp"

namespace atelier::workshop {
namespace {

/// A workshop whose journal is somewhere else.
struct Far {
  Far() : journal(journal::memory::open(runtime, store)), workshop(runtime, *journal, {}), tasks(runtime) {
    tasks.spawn("open", open());
    runtime.run_ready();
  }
  ~Far() {
    tasks.spawn("stop", workshop.stop(runtime.now() + milliseconds{10'000}));
    runtime.advance(milliseconds{2'000});
  }
  awaitable<void> open() {
    REQUIRE((co_await workshop.open()).has_value());
    workshop.start();
  }
  void submit(const std::string& name) {
    tasks.spawn("submit", submit_one(name));
    runtime.run_ready();
  }
  awaitable<void> submit_one(std::string name) {
    core::Submitted event;
    event.participant = {1};
    event.prompt_id = name;
    event.body = sha256(name);
    const auto done = co_await workshop.submit(std::move(event), std::make_shared<const std::string>("{}"));
    answers[name] = done ? "taken" : done.error().what;
  }
  void command(const std::string& name, core::Event event) {
    tasks.spawn("command", command_one(name, std::move(event)));
    runtime.run_ready();
  }
  awaitable<void> command_one(std::string name, core::Event event) {
    const auto done = co_await workshop.record(std::move(event));
    answers[name] = done ? "taken" : done.error().what;
  }
  void post(core::Event event) {
    workshop.post(std::move(event));
    runtime.run_ready();
  }
  void join_worker() {
    core::Capability capability;
    capability.hash = sha256("all");
    post(capability);
    core::WorkerJoined joined;
    joined.name = "gpu";
    joined.gateway = workshop.gateway();
    joined.boot = Key128{1, 1};
    core::JoinedSlot slot;
    slot.capability = capability.hash;
    slot.engine_start = 1;
    joined.slots.push_back(slot);
    post(joined);
  }
  [[nodiscard]] bool taken(const std::string& name) const {
    const auto found = answers.find(name);
    return found != answers.end() && found->second == "taken";
  }
  [[nodiscard]] bool refused(const std::string& name, std::string_view why) const {
    const auto found = answers.find(name);
    return found != answers.end() && found->second.find(why) != std::string::npos;
  }

  VirtualRuntime runtime;
  journal::memory::MemoryStore store;
  std::unique_ptr<journal::Journal> journal;
  Workshop workshop;
  TaskGroup tasks;
  std::map<std::string, std::string> answers;
};

}  // namespace

TEST_CASE("while the journal is out of reach prompts are refused at once, and what else happens is kept") {
  Far far;
  far.submit("before");
  CHECK(far.taken("before"));
  far.store.set_out_of_reach(true);
  far.submit("first");  // that it is out of reach is known by its commit
  CHECK(!far.answers.contains("first"));
  far.submit("second");
  CHECK(far.refused("second", "nothing was taken"));
  CHECK(!far.workshop.refusal().empty());
  far.workshop.post(core::ParticipantHeld{ParticipantId{2}, true, "instructor"});
  far.runtime.advance(milliseconds{7'000});
  CHECK(far.refused("first", "may still appear"));
  far.runtime.advance(milliseconds{60'000});
  far.submit("late");
  CHECK(far.refused("late", "nothing was taken"));
  far.store.set_out_of_reach(false);
  far.runtime.advance(milliseconds{2'000});
  CHECK(far.workshop.refusal().empty());
  CHECK(far.workshop.core().participant(ParticipantId{2})->held);
  far.submit("after");
  CHECK(far.taken("after"));
  CHECK(far.workshop.core().jobs_live() == 2);  // before, after
  far.submit("first");                          // the same again is a new one
  CHECK(far.taken("first"));
}

TEST_CASE("while the journal is out of reach people's commands are refused, and no lease ends") {
  Far far;
  far.join_worker();
  far.submit("runs");
  REQUIRE(far.workshop.core().job(JobId{1})->lease);
  far.store.set_out_of_reach(true);
  far.command("early", core::ModeChanged{core::QueueMode::priority, "instructor"});
  far.post(core::Started{JobId{1}, Epoch{1}});  // of a worker: kept
  far.command("late", core::ModeChanged{core::QueueMode::fifo, "instructor"});
  CHECK(far.refused("late", "nothing was taken"));
  far.runtime.advance(milliseconds{120'000});  // its worker may have lost its link, and cannot be recorded
  far.store.set_out_of_reach(false);
  far.runtime.advance(milliseconds{30'000});
  CHECK(far.refused("early", "may still appear"));  // it was on its way, and is not given up
  CHECK(far.workshop.core().workshop().mode == core::QueueMode::priority);
  REQUIRE(far.workshop.core().job(JobId{1})->lease);
  CHECK(far.workshop.core().job(JobId{1})->lease->started);
  far.runtime.advance(milliseconds{60'000});  // now it had its time
  CHECK(!far.workshop.core().job(JobId{1})->lease);
}

TEST_CASE("a commit whose answer was lost is found when the journal is back") {
  Far far;
  far.store.plan(journal::memory::Fault::answer_lost);
  far.store.set_out_of_reach(false);
  far.submit("stored");
  far.submit("meanwhile");
  CHECK(far.refused("meanwhile", "nothing was taken"));
  far.runtime.advance(milliseconds{2'000});
  CHECK(far.taken("stored"));
  CHECK(far.workshop.core().jobs_live() == 1);
}

TEST_CASE("on a full disk people are told within a second, and what they asked for is not done later") {
  Far far;
  far.join_worker();
  far.submit("before");
  far.store.set_full(true);
  far.submit("prompt");
  far.command("hold", core::EveryoneHeld{true, "instructor"});
  far.command("pause", core::Paused{true, "instructor"});
  far.workshop.post(core::WorkerTags{far.workshop.core().worker("gpu")->worker, {"fast"}});  // nobody waits
  far.runtime.advance(milliseconds{1'500});
  CHECK(far.refused("prompt", "disk is full"));
  CHECK(far.refused("hold", "nothing was changed"));
  CHECK(far.refused("pause", "nothing was changed"));
  CHECK(far.workshop.found_full());
  far.store.set_full(false);
  far.runtime.advance(milliseconds{1'500});
  CHECK(!far.workshop.found_full());
  CHECK(!far.workshop.core().workshop().paused);
  CHECK(far.workshop.core().worker("gpu")->tags == std::vector<std::string>{"fast"});
  far.command("pause", core::Paused{true, "instructor"});
  CHECK(far.taken("pause"));
  far.submit("prompt");
  CHECK(far.taken("prompt"));
}

}  // namespace atelier::workshop
