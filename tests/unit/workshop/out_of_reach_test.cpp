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

}  // namespace atelier::workshop
