// SPDX-License-Identifier: MIT
#include "simulation.hpp"

#include <algorithm>
#include <memory>
#include <vector>

#include "agent_process.hpp"
#include "checkers.hpp"
#include "instructor.hpp"
#include "probe.hpp"
#include "server.hpp"
#include "workload.hpp"

namespace atelier::sim {
namespace {

using journal::memory::Fault;

constexpr milliseconds kRush{180'000};        // prompts come
constexpr milliseconds kBurst{20'000};        // ... or in a burst
constexpr milliseconds kTrouble{300'000};     // things break
constexpr milliseconds kRecovery{3'600'000};  // then everything must have ended

const std::vector<std::string> kModels{"a.safetensors", "b.safetensors", "c.safetensors"};

class Simulation {
 public:
  Simulation(std::uint64_t seed, bool trace, const std::string& folder)
      : world_(seed, trace),
        random_(seed, 0),
        folder_(folder),
        checker_(world_, store_, kJobLimit),
        network_(world_, seed),
        workload_(world_, checker_, seed),
        instructor_(world_, seed) {
    files::DataFolderOptions options;
    options.data_dir = folder_;
    auto opened = files::DataFolder::open(options);
    if (!opened) world_.broken(opened.error().what);
    data_.emplace(std::move(*opened));
    store_.on_crash = [this] { kill_server("in a commit"); };
  }

  Report run();

 private:
  void start_server();
  void kill_server(std::string_view when);
  /// A process that could not open, or whose journal has failed for good, has ended: it is started again.
  void supervise(int down);
  void plan_faults();
  void set_faults(bool on);
  void one_fault();
  void disk_fault();
  void look();

  World world_;
  Random random_;
  std::string folder_;
  std::optional<files::DataFolder> data_;
  journal::memory::MemoryStore store_;
  Checker checker_;
  Network network_;
  Workload workload_;
  Instructor instructor_;
  std::vector<std::unique_ptr<AgentProcess>> agents_;
  std::unique_ptr<Server> server_;
  std::vector<std::unique_ptr<Server>> dead_;  // never destroyed, see Server::kill
  std::uint64_t servers_ = 0;
  bool trouble_ = true, checkpoint_begun_ = false;  // it may be there though nobody was told
};

void Simulation::start_server() {
  if (server_) return;
  ++servers_;
  world_.trace("server {} starts", servers_);
  server_ = std::make_unique<Server>(world_, store_, *data_, random_.next());
  world_.set_server(&server_->runtime());
  network_.set_server(server_.get());
  workload_.set_server(server_.get());
  instructor_.set_server(server_.get());
  if (checkpoint_begun_) {
    SIM_PROBE("opened_from_checkpoint");
    checker_.opened_from_checkpoint();
  }
  server_->open([this] { world_.trace("server is open"); });
}

void Simulation::supervise(int down) {
  const bool serves = !server_ || server_->accepting();
  if (!serves && down >= 3) kill_server("by its supervisor");
  world_.after(milliseconds{5'000}, [this, next = serves ? 0 : down + 1] { supervise(next); });
}

void Simulation::kill_server(std::string_view when) {
  if (!server_) return;
  SIM_PROBE("server_killed");
  if (!server_->is_open()) SIM_PROBE("server_killed_while_opening");
  world_.trace("server killed {}", when);
  server_->kill();
  world_.set_server(nullptr);
  workload_.set_server(nullptr);
  instructor_.set_server(nullptr);
  network_.server_died(random_.chance(700));
  dead_.push_back(std::move(server_));
  world_.after(random_.ms(500, 30'000), [this] { start_server(); });
}

void Simulation::set_faults(bool on) {
  trouble_ = on;
  const std::uint64_t much = on ? 1 : 0;
  network_.faults = {
      .request_lost = 15 * much, .answer_lost = 20 * much, .body_cut = 25 * much, .late_request = 10 * much};
  for (const auto& agent : agents_) {
    agent->set_faults({.event_lost = 10 * much,
                       .post_answer_lost = 15 * much,
                       .post_refused = 10 * much,
                       .error = 30 * much,
                       .ignores_interrupt = 100 * much,
                       .file_without_ui = 20 * much,
                       .output_missing = 5 * much});
  }
  if (!on) store_.set_full(false);
}

void Simulation::disk_fault() {
  const auto soon = 1 + random_.below(6);
  switch (random_.below(6)) {
    case 0:
      SIM_PROBE("crash_before_commit");
      store_.plan(Fault::crash_before_commit, soon);
      break;
    case 1:
      SIM_PROBE("crash_after_commit");
      store_.plan(Fault::crash_after_commit, soon);
      break;
    case 2:
      SIM_PROBE("journal_answer_lost");
      store_.plan(Fault::answer_lost, soon);
      break;
    case 3:
      SIM_PROBE("journal_io_error");
      store_.plan(Fault::io, soon);  // the process ends with code 74
      break;
    case 4:
      SIM_PROBE("journal_full");
      store_.set_full(true);
      world_.after(random_.ms(1'000, 20'000), [this] { store_.set_full(false); });
      break;
    default:
      store_.commit_latency = random_.chance(500) ? milliseconds{0} : random_.ms(1, 200);
      break;
  }
}

void Simulation::one_fault() {
  AgentProcess& agent = *agents_[random_.below(agents_.size())];
  switch (random_.below(12)) {
    case 0:
      kill_server("by a fault");
      break;
    case 1:
      agent.kill(false);
      break;
    case 2:
      agent.kill(true);
      break;
    case 3:
      agent.drain();
      break;
    case 4:
    case 5:
      agent.kill_an_engine();
      break;
    case 6:
    case 7:
      network_.break_a_link();
      break;
    case 8:
      if (server_ && server_->is_open()) {
        checkpoint_begun_ = true;
        server_->checkpoint();
      }
      break;
    default:
      disk_fault();
      break;
  }
}

void Simulation::plan_faults() {
  // Some runs are quiet, some hardly get anything done.
  const std::uint64_t count = random_.chance(200) ? 20 + random_.below(60) : random_.below(16);
  for (std::uint64_t i = 0; i < count; ++i) {
    world_.after(random_.ms(5'000, kTrouble.count()), [this] {
      if (trouble_) one_fault();
    });
  }
  world_.after(kTrouble, [this] {
    set_faults(false);
    instructor_.let_go();
  });
}

void Simulation::look() {
  checker_.step();
  if (server_ && server_->accepting() && server_->last() == checker_.seen())
    checker_.compare(server_->core());
  if (world_.now().ms < 1'000'000 + kTrouble.count())
    world_.after(random_.ms(10'000, 40'000), [this] { look(); });
}

Report Simulation::run() {
  // In some runs no job needs a model; else the first worker has all of them, and the others some.
  const std::vector<std::string> models = random_.chance(350) ? std::vector<std::string>{} : kModels;
  const std::size_t workers = 1 + random_.below(3);
  for (std::size_t i = 0; i < workers; ++i) {
    const std::uint64_t seed = random_.next();
    std::vector<std::string> offered = models;
    if (i > 0) std::erase_if(offered, [this](const std::string&) { return random_.chance(300); });
    AgentProcess::Options options;
    options.name = fmt::format("gpu-{}", i);
    options.models = std::move(offered);
    options.slots = static_cast<std::uint32_t>(random_.chance(700) ? 1 : 2 + random_.below(2));
    options.launches = random_.chance(500);
    options.seed = seed;
    agents_.push_back(std::make_unique<AgentProcess>(world_, network_, std::move(options)));
    world_.after(random_.ms(0, 20'000), [agent = agents_.back().get()] { agent->start(); });
  }
  set_faults(true);
  const std::size_t participants = 1 + random_.below(5);
  workload_.plan(4 + random_.below(30), participants, random_.chance(400) ? kBurst : kRush, models);
  instructor_.plan(random_.chance(300) ? 0 : 5 + random_.below(40), participants, kTrouble);
  plan_faults();
  start_server();
  supervise(0);
  world_.after(milliseconds{20'000}, [this] { look(); });

  const Instant end{1'000'000 + (kTrouble + kRecovery).count()};
  const Instant last_press{1'000'000 + std::max(2 * kRush, kTrouble).count()};
  while (true) {
    if (!world_.step()) world_.broken("nothing is left to happen");
    checker_.step();
    const bool over = world_.now() > last_press && workload_.all_answered() && checker_.all_ended() &&
                      server_ && server_->accepting();
    if (over) break;
    if (world_.now() > end) world_.broken("jobs have not ended:" + checker_.open_jobs());
  }
  // Names of a commit may still be on their way.
  for (const Instant settle = world_.now() + milliseconds{60'000}; world_.now() < settle;) {
    if (!world_.step()) break;
    checker_.step();
  }
  if (server_ && server_->last() == checker_.seen()) checker_.compare(server_->core());
  checker_.finish(folder_ + "/participants");
  return {checker_.seen().value, checker_.reference().workshop().last_job, servers_};
}

}  // namespace

Report simulate(std::uint64_t seed, bool trace, const std::string& folder) {
  // Kept with all that its dead servers hold; the process ends soon.
  auto& simulation = *new Simulation(seed, trace, folder);
  return simulation.run();
}

}  // namespace atelier::sim
