// SPDX-License-Identifier: MIT
#pragma once
// An AgentMachine with what tests need around it: a clock by hand, the actions of the last input, short ways
// to say what the gateway, the engine and the agent's own workers report.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "agent/machine.hpp"

namespace atelier::agent {

inline constexpr RunKey kJob{JobId{7}, Epoch{1}};

struct Rig {
  explicit Rig(MachineOptions options = default_options()) : machine(std::move(options)) {
    last = machine.start(now);
  }

  static MachineOptions default_options() {
    MachineOptions options;
    options.name = "gpu-1";
    options.version = "atelier-worker test";
    options.boot = Key128{1, 2};
    return options;
  }

  void feed(Input input) { last = machine.on(now, input); }
  void advance(milliseconds duration) {
    last.clear();
    const Instant end = now + duration;
    while (machine.next_at() <= end) {
      now = std::max(now, machine.next_at());
      auto actions = machine.on(now, Tick{});
      std::ranges::move(actions, std::back_inserter(last));
      REQUIRE_MESSAGE(++ticks < 10'000, "the machine asks for a tick without using it");
    }
    now = end;
  }

  // ---- what came out ----
  template <class A>
  std::vector<A> all() const {
    std::vector<A> found;
    for (const Action& action : last) {
      if (const A* one = std::get_if<A>(&action)) found.push_back(*one);
    }
    return found;
  }
  template <class A>
  std::size_t count() const {
    return all<A>().size();
  }
  template <class A>
  A only() const {
    auto found = all<A>();
    REQUIRE(found.size() == 1);
    return found.front();
  }
  template <class M>
  std::vector<M> sent() const {
    std::vector<M> found;
    for (const Send& send : all<Send>()) {
      if (const M* one = std::get_if<M>(&send.message)) found.push_back(*one);
    }
    return found;
  }
  template <class M>
  M only_sent() const {
    auto found = sent<M>();
    REQUIRE(found.size() == 1);
    return found.front();
  }

  // ---- what goes in ----
  void gateway(link::GatewayMessage message) { feed(FromGateway{std::move(message)}); }
  link::Hello open() {
    feed(LinkUp{1000, 1'700'000'000'000});
    return only_sent<link::Hello>();
  }
  /// Opens a link; every line of the hello gets `verdict`.
  void join(link::Verdict verdict = link::Verdict::keep) {
    const link::Hello hello = open();
    link::Welcome welcome;
    welcome.link = LinkId{++links};
    welcome.blob_url = "/worker";
    welcome.settings = settings;
    for (const link::HelloJob& job : hello.jobs) welcome.answers.push_back({job.job, job.epoch, verdict});
    gateway(std::move(welcome));
  }
  /// After open(), which listed kJob.
  void welcome(link::Verdict verdict) {
    link::Welcome welcome;
    welcome.link = LinkId{++links};
    welcome.answers.push_back({kJob.job, kJob.epoch, verdict});
    gateway(std::move(welcome));
  }
  void lose_link() { feed(LinkDown{"the cable", false}); }
  void engine_up() {
    EngineInfo info;
    info.comfy_version = "0.21.0";
    info.object_info = sha256("object_info");
    feed(EngineUp{0, info});
    if (!all<PublishObjectInfo>().empty()) feed(ObjectInfoPublished{0, info.object_info, {}});
  }
  static link::Lease lease(RunKey key = kJob) {
    link::Lease lease;
    lease.job = key.job;
    lease.epoch = key.epoch;
    lease.run_id = run_id(key);
    lease.prompt = {10, sha256("prompt")};
    return lease;
  }
  static Key128 run_id(RunKey key) { return Key128{key.job.value, key.epoch.value}; }

  void engine(std::string_view type, std::string fields = "", RunKey key = kJob) {
    if (!fields.empty()) fields = "," + fields;
    feed(EngineEvent{0, fmt::format(R"({{"type":"{}","data":{{"prompt_id":"{}"{}}}}})", type,
                                    run_id(key).uuid(), fields)});
  }
  void executed(std::string_view node, RunKey key = kJob) {
    engine(
        "executed",
        fmt::format(
            R"("node":"{}","display_node":"{}","output":{{"images":[{{"filename":"a_00001_.png","subfolder":"","type":"output"}}]}})",
            node, node),
        key);
  }
  void engine_ends(RunKey key = kJob) { engine("executing", R"("node":null)", key); }

  void ready() {
    join();
    engine_up();
  }
  void take(RunKey key = kJob) {
    gateway(lease(key));
    REQUIRE(count<FetchJob>() == 1);
  }
  void post(RunKey key = kJob) {
    take(key);
    feed(JobFetched{key, {}});
    REQUIRE(count<PostRun>() == 1);
    feed(RunPosted{key, PostResult::accepted, ""});
  }
  void run(RunKey key = kJob) {
    post(key);
    engine("execution_start", R"("timestamp":1)", key);
    REQUIRE(sent<link::Started>().size() == 1);
  }
  static std::vector<link::CommitFile> one_file() {
    link::CommitFile file;
    file.place = "images/0";
    file.stem = "a";
    file.number = 1;
    file.rest = "_.png";
    file.size = 5;
    file.digest = sha256("bytes");
    return {file};
  }
  void collected(std::string node, std::vector<link::CommitFile> files = one_file(), RunKey key = kJob) {
    feed(Collected{key, std::move(node), std::move(files)});
  }
  void finish_run(RunKey key = kJob) {
    engine("execution_success", R"("timestamp":9)", key);
    engine_ends(key);
  }
  void history(RunKey key = kJob) {
    RunHistory history;
    history.report = R"({"status":{"status_str":"success","completed":true,"messages":[]},"meta":{}})";
    feed(RunAsked{key, RunPlace::done, history});
  }
  void no_rest(RunKey key = kJob) { feed(Collected{key, "", std::vector<link::CommitFile>{}}); }

  AgentMachine machine;
  link::Settings settings{30, link::kJsonBytesMax, link::kResultBytesMax,
                          link::kFilesPerCommitMax};  // of the next welcome
  Instant now{1'000'000};
  std::vector<Action> last;
  std::uint64_t links = 0;
  int ticks = 0;
};

}  // namespace atelier::agent
