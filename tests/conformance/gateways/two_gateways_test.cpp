// SPDX-License-Identifier: MIT
// Fault 45: two processes, each a whole workshop on one Redis, propose leases of the same jobs. The first in
// the stream stands, the other has no effect; both have the same state.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <fstream>
#include <map>
#include <set>

#include "journal/codec.hpp"
#include "journal/redis/redis_journal.hpp"
#include "redis_server.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/task_group.hpp"
#include "workshop/workshop.hpp"

namespace atelier::workshop {
namespace {

constexpr std::uint64_t kGateways = 2;
constexpr std::uint32_t kSlots = 2;

struct Race {
  std::uint64_t jobs;
  milliseconds others_patience;
};

std::string state_of(const core::Core& core) {
  std::string bytes;
  for (const core::CheckpointRecord& record : core.export_facts()) journal::encode(record, bytes);
  return sha256(bytes).hex();
}

/// One gateway: a worker of its own that is done with each job at once, and its share of the prompts.
class GatewayProcess final : public EffectSink {
 public:
  GatewayProcess(std::uint64_t which, std::uint16_t port, Race race)
      : which_(which), race_(race), tasks_(runtime_) {
    options_.port = port;
    options_.alone = false;
  }

  /// Runs until all jobs of all gateways have ended; `result` says then what it has applied, and its state.
  int run(const std::string& result) {
    int code = 1;
    asio::co_spawn(runtime_.executor(), work(), [&](std::exception_ptr error, bool done) {
      code = !error && done ? 0 : 1;
      runtime_.stop();
    });
    runtime_.run();
    if (code != 0) return code;
    std::ofstream file(result);
    file << workshop_->core().workshop().last_sequence.value << ' ' << state_of(workshop_->core());
    return file.flush() ? code : 1;
  }

  void on_effects(const core::Entry&, std::span<const core::Effect> effects) override {
    for (const core::Effect& effect : effects) {
      if (const auto* accepted = std::get_if<core::Accepted>(&effect);
          accepted != nullptr && accepted->link) {
        const core::WorkerFacts* worker = workshop_->core().worker(name());
        if (worker != nullptr) link_ = worker->link;
      }
      if (const auto* leased = std::get_if<core::JobLeased>(&effect);
          leased != nullptr && leased->link == link_)
        finish(*leased);
      if (std::holds_alternative<core::JobEnded>(effect) && ++ended_ == race_.jobs) all_ended_.notify_all();
    }
  }

 private:
  [[nodiscard]] std::string name() const { return fmt::format("worker-{}", which_); }

  void finish(const core::JobLeased& leased) {
    workshop_->post(core::Started{leased.job, leased.epoch});
    workshop_->post(core::Computed{leased.job, leased.epoch, 5});
    core::Ended ended;
    ended.job = leased.job;
    ended.epoch = leased.epoch;
    workshop_->post(ended);
  }

  awaitable<bool> work() {
    auto journal = co_await journal::redis::open(runtime_, options_);
    if (!journal) co_return false;
    journal_ = std::move(*journal);
    WorkshopOptions options;
    options.alone = false;
    options.others_patience = race_.others_patience;
    options.admission = {0, 0};
    workshop_.emplace(runtime_, *journal_, options);
    workshop_->add_sink(*this);
    if (!co_await workshop_->open()) co_return false;
    ended_ = workshop_->history().size();  // before this one came
    workshop_->start();
    core::Capability capability;
    capability.hash = sha256("all");
    workshop_->post(capability);
    core::WorkerJoined joined;
    joined.name = name();
    joined.gateway = workshop_->gateway();
    joined.boot = runtime_.random_key();
    for (std::uint32_t i = 0; i < kSlots; ++i) {
      core::JoinedSlot slot;
      slot.capability = capability.hash;
      slot.engine_start = 1 + i;
      joined.slots.push_back(slot);
    }
    workshop_->post(joined);
    for (std::uint64_t lane = 0; lane < 50; ++lane) tasks_.spawn("submit", submit(lane));
    const Instant deadline = runtime_.now() + milliseconds{240'000};
    while (ended_ < race_.jobs) {
      if (!co_await all_ended_.wait(deadline)) co_return false;
    }
    // What is posted by now is recorded; then nothing of it waits any more.
    co_await workshop_->stop(runtime_.now() + milliseconds{10'000});
    if (!co_await tasks_.stop(runtime_.now() + milliseconds{1'000})) co_return false;
    co_return accepted_ == race_.jobs / kGateways;
  }

  awaitable<void> submit(std::uint64_t lane) {
    for (std::uint64_t n = lane; n < race_.jobs / kGateways; n += 50) {
      core::Submitted event;
      event.participant = {1 + n % 20};
      event.prompt_id = fmt::format("{}-{}", which_, n);
      event.body = sha256(event.prompt_id);
      if (co_await workshop_->submit(std::move(event), std::make_shared<const std::string>("{}")))
        ++accepted_;
    }
  }

  std::uint64_t which_;
  Race race_;
  RealRuntime runtime_;
  journal::redis::Options options_;
  std::unique_ptr<journal::Journal> journal_;
  std::optional<Workshop> workshop_;
  Signal all_ended_{runtime_};
  TaskGroup tasks_;
  LinkId link_;
  std::uint64_t ended_ = 0, accepted_ = 0;
};

/// What became of the leases that were proposed.
struct Leases {
  std::uint64_t granted = 0, without_effect = 0;
};

/// Two processes share the jobs; then what they recorded is looked at.
Leases run_race(const Race& race) {
  journal::redis::RedisServer server;
  journal::TempFolder folder;
  std::vector<pid_t> children;
  for (std::uint64_t which = 1; which <= kGateways; ++which) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    const std::string result = folder.file(fmt::format("state-{}", which).c_str());
    if (child == 0) {
      const std::string number = std::to_string(which), port = std::to_string(server.port());
      const std::string jobs = std::to_string(race.jobs);
      const std::string patience = std::to_string(race.others_patience.count());
      ::execl("/proc/self/exe", "gateway", "--gateway", number.c_str(), port.c_str(), result.c_str(),
              jobs.c_str(), patience.c_str(), nullptr);
      ::_exit(127);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
  }

  std::map<std::uint64_t, std::string> states;  // after which entry
  for (std::uint64_t which = 1; which <= kGateways; ++which) {
    std::ifstream file(folder.file(fmt::format("state-{}", which).c_str()));
    std::uint64_t sequence = 0;
    std::string state;
    REQUIRE((file >> sequence >> state));
    states[sequence] = state;
  }

  // What is recorded, applied once more by a third one.
  journal::redis::Options options;
  options.port = server.port();
  auto reader = journal::redis::open_reader(options);
  REQUIRE(reader);
  core::Core core;
  journal::ReplayCursor cursor;
  cursor.begun = true;  // all entries, not a checkpoint and what follows
  std::map<std::uint64_t, std::uint64_t> epochs, ends;
  std::set<std::uint64_t> proposers;
  Leases leases;
  for (bool end = false; !end;) {
    const auto page = (*reader)->read(cursor);
    REQUIRE_MESSAGE(page, page.error().what);
    cursor = page->next;
    end = page->end;
    for (const core::Entry& entry : page->entries) {
      const auto* leased = std::get_if<core::Leased>(&entry.event);
      bool effective = false;
      for (const core::Effect& effect : core.apply(entry)) {
        if (std::holds_alternative<core::Accepted>(effect)) effective = true;
        if (const auto* ended = std::get_if<core::JobEnded>(&effect)) ++ends[ended->facts.job.value];
      }
      if (const auto state = states.find(entry.sequence.value); state != states.end()) {
        CHECK(state_of(core) == state->second);
        states.erase(state);
      }
      if (leased == nullptr) continue;
      if (!effective) {
        ++leases.without_effect;
        continue;
      }
      ++leases.granted;
      proposers.insert(entry.origin.gateway.value);
      CHECK(leased->epoch.value == epochs[leased->job.value] + 1);
      epochs[leased->job.value] = leased->epoch.value;
    }
  }
  CHECK(epochs.size() == race.jobs);
  CHECK(ends.size() == race.jobs);
  for (const auto& [job, count] : ends) CHECK(count == 1);
  CHECK(leases.granted == race.jobs);
  CHECK(proposers.size() == kGateways);
  CHECK(core.jobs_live() == 0);
  CHECK(states.empty());
  return leases;
}

TEST_CASE("two gateways propose leases of the same jobs: the first in the stream stands") {
  const Leases leases = run_race({10'000, milliseconds{0}});
  CHECK(leases.without_effect > 0);
  MESSAGE("of ", leases.granted + leases.without_effect, " leases ", leases.without_effect, " came second");
}

TEST_CASE("two gateways leave to each other what is the other's, and all jobs are done") {
  const Leases leases = run_race({2'000, milliseconds{1'000}});
  MESSAGE("of ", leases.granted + leases.without_effect, " leases ", leases.without_effect, " came second");
}

}  // namespace

/// The other life of this program: --gateway WHICH PORT RESULT JOBS PATIENCE_MS.
int run_gateway(char** arguments) {
  const Race race{std::stoull(arguments[5]), milliseconds{std::stoll(arguments[6])}};
  return GatewayProcess(std::stoull(arguments[2]), static_cast<std::uint16_t>(std::stoul(arguments[3])), race)
      .run(arguments[4]);
}

}  // namespace atelier::workshop

int main(int count, char** arguments) {
  using namespace std::string_view_literals;
  if (count == 7 && arguments[1] == "--gateway"sv) return atelier::workshop::run_gateway(arguments);
  return doctest::Context(count, arguments).run();
}
