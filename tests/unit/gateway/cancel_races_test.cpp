// SPDX-License-Identifier: MIT
// A cancel meets the job's own end, a slow commit, a silent agent and a lost lease in a thousand orders: the
// job ends once, and its owner's socket is told that end and no other.
#include <fmt/format.h>

#include <array>
#include <functional>

#include "unit/gateway/link_rig.hpp"

namespace atelier::gateway::test {
namespace {

class Race {
 public:
  explicit Race(LinkRig& rig) : rig_(rig), agent_(rig), tab_(rig, 1, "mine") {}

  /// One job from its prompt to its end.
  void run(int number) {
    CAPTURE(number);
    rig_.store.commit_latency = milliseconds{static_cast<std::int64_t>(below(4) * 7)};
    job_ = rig_.submit(1, uuid(number), "mine");
    settle(100);
    REQUIRE(agent_.take<link::Lease>().size() == 1);
    epoch_ = rig_.facts(job_).epoch;
    answers_stop_ = below(3) > 0;
    std::vector<std::function<void()>> steps = worker_steps();
    for (std::uint64_t i = 1 + below(2); i > 0; --i) {
      const auto at = static_cast<std::ptrdiff_t>(below(steps.size() + 1));
      steps.insert(steps.begin() + at, [this] { cancel(); });
    }
    for (const auto& step : steps) {
      step();
      if (below(2) == 0) settle(static_cast<std::int64_t>(below(30)));
    }
    finish();
    check(number);
  }

 private:
  std::uint64_t below(std::uint64_t count) { return rig_.runtime.random() % count; }

  std::vector<std::function<void()>> worker_steps() {
    const bool success = below(4) > 0;
    return {[this] { agent_.put_on_wire(link::Started{job_, epoch_}); },
            [this] { agent_.put_on_wire(link::Computed{job_, epoch_, 5}); },
            [this, success] { end(success ? link::Outcome::succeeded : link::Outcome::failed); }};
  }

  void cancel() { REQUIRE(rig_.post("/user/1/interrupt").status == 200); }

  void end(link::Outcome outcome) {
    link::Ended ended;
    ended.job = job_;
    ended.epoch = epoch_;
    ended.outcome = outcome;
    const std::string_view type = outcome == link::Outcome::succeeded ? "execution_success"
                                  : outcome == link::Outcome::failed  ? "execution_error"
                                                                      : "execution_interrupted";
    const Key128 run = WorkerLink::run_id(rig_.workshop->id(), job_, epoch_);
    ended.event =
        fmt::format(R"({{"type":"{}","data":{{"prompt_id":"{}","timestamp":1}}}})", type, run.uuid());
    agent_.put_on_wire(ended);
  }

  /// Time goes on; the agent obeys a stop, or does not.
  void settle(std::int64_t ms) {
    rig_.runtime.advance(milliseconds{ms});
    for (const link::Stop& stop : agent_.take<link::Stop>()) {
      if (stop.job == job_ && answers_stop_) end(link::Outcome::cancelled);
    }
    rig_.runtime.run_ready();
  }

  void finish() {
    for (int i = 0; i < 20 && rig_.workshop->core().job(job_) != nullptr; ++i) {
      agent_.say(link::Heartbeat{});
      settle(1'000);
    }
    settle(100);
    agent_.say(link::SlotIdle{0});
    settle(100);
    agent_.take<link::EndedOk>();
  }

  void check(int number) {
    REQUIRE(rig_.workshop->core().job(job_) == nullptr);
    const core::Summary* summary = rig_.workshop->history().find(job_);
    REQUIRE(summary != nullptr);
    std::vector<std::string> ends;
    for (const std::string& type : tab_.take_types()) {
      if (type == "execution_success" || type == "execution_interrupted" ||
          type.starts_with("execution_error"))
        ends.push_back(type.substr(0, type.find(' ')));
    }
    const std::string expected = summary->outcome == core::Outcome::succeeded ? "execution_success"
                                 : summary->outcome == core::Outcome::failed  ? "execution_error"
                                                                              : "execution_interrupted";
    CHECK(ends == std::vector<std::string>{expected});
    const core::WorkshopFacts& facts = rig_.workshop->core().workshop();
    CHECK(facts.succeeded + facts.failed + facts.cancelled == static_cast<std::uint64_t>(number));
    ++outcomes[static_cast<std::size_t>(summary->outcome)];
  }

  LinkRig& rig_;
  Agent agent_;
  Tab tab_;
  JobId job_;
  Epoch epoch_;
  bool answers_stop_ = false;

 public:
  std::array<int, 3> outcomes{};
};

TEST_CASE("a cancel that races with the job's own end leaves one end, the one that its owner sees") {
  LinkRig rig;
  Race race(rig);
  for (int i = 1; i <= 1'000; ++i) race.run(i);
  for (const int count : race.outcomes) CHECK(count > 50);
}

}  // namespace
}  // namespace atelier::gateway::test
