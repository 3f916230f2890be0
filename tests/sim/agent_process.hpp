// SPDX-License-Identifier: MIT
#pragma once
// A worker's agent: the real AgentMachine, whose actions are carried out on the fake network and on fake
// ComfyUIs. A kill forgets everything but the engines it was told of at its start, which run beside it, and
// what was kept on disk; the next life has another boot.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/machine.hpp"
#include "comfy/object_info.hpp"
#include "fake_comfy.hpp"
#include "network.hpp"

namespace atelier::sim {

class AgentProcess {
 public:
  struct Options {
    std::string name;
    std::vector<std::string> models;  // that its ComfyUIs offer, sorted
    std::uint32_t slots = 1;          // at its start
    bool launches = false;            // it may restart its ComfyUIs, and start more
    std::uint64_t seed = 0;
  };
  AgentProcess(World& world, Network& network, Options options);

  void start();
  /// kill -9; `machine_gone`: its kernel does not say goodbye either. It comes back after a while.
  void kill(bool machine_gone);
  /// SIGTERM; it comes back after it has left.
  void drain();
  [[nodiscard]] bool alive() const { return life_ != nullptr; }
  void kill_an_engine();
  void set_faults(const EngineFaults& faults);

 private:
  /// What one life keeps of a run.
  struct RunData {
    std::string post_body;
    std::map<std::pair<std::string, std::uint32_t>, std::string> collected;  // (node, index) -> bytes
    std::set<std::string> paths;                                             // of files that a ui named
  };
  /// On the disk.
  struct Kept {
    agent::FinishedRun run;
    RunData data;
  };
  struct Life {
    explicit Life(agent::MachineOptions options) : machine(std::move(options)) {}
    agent::AgentMachine machine;
    std::shared_ptr<Pipe> pipe;
    LinkId link;
    bool draining = false;
    std::uint64_t tick_set = 0;
    std::map<agent::RunKey, RunData> runs;
    std::set<agent::RunKey> restored;
  };
  using LifePtr = std::shared_ptr<Life>;

  void feed(LifePtr life, agent::Input input);
  /// The slot's ComfyUI; nothing if the slot was removed meanwhile.
  [[nodiscard]] FakeComfy* engine(std::uint32_t slot) const;
  void add_engine(std::uint32_t slot);
  void connect_engine(std::uint32_t slot, milliseconds until_up);
  void let_go_of_engine(std::uint32_t slot);
  void engine_is_up(const LifePtr& life, std::uint32_t slot);
  void carry_out(const LifePtr& life, const agent::AddEngine& action);
  void carry_out(const LifePtr& life, const agent::RemoveEngine& action);
  void act(const LifePtr& life, agent::Action action);
  void dial(const LifePtr& life);
  void fetch(const LifePtr& life, agent::FetchJob action);
  void fetch_inputs(const LifePtr& life, agent::FetchJob action, std::string prompt, std::size_t next);
  void prepare(const LifePtr& life, const agent::FetchJob& action, const std::string& prompt);
  void collect(const LifePtr& life, const agent::Collect& action);
  void collect_rest(const LifePtr& life, const agent::CollectRest& action);
  static Result<link::CommitFile> take_file(const FakeComfy& engine, RunData& run, agent::RunKey key,
                                            const std::string& node, std::uint32_t index, std::string name,
                                            std::string folder, std::string place);
  void upload(const LifePtr& life, agent::Upload action);
  void put(const LifePtr& life, agent::Upload action, std::uint64_t offset, int tries);
  void keep(const LifePtr& life, agent::Keep action);
  void publish(const LifePtr& life, agent::PublishObjectInfo action);
  void leave(const LifePtr& life);
  void end_life();
  HttpRequest request(const LifePtr& life, net::Method method, std::string target) const;
  Error error_of(const LifePtr& life, LinkId asked_on, const HttpAnswer& answer) const;

  World& world_;
  Network& network_;
  Options options_;
  Random random_;
  EngineFaults faults_;
  struct Engine {
    std::unique_ptr<FakeComfy> comfy;
    Instant last_event;  // on its way
  };
  std::vector<Engine> engines_;                     // by slot
  std::vector<std::unique_ptr<FakeComfy>> former_;  // what they have planned is still to come
  std::shared_ptr<const comfy::ObjectInfo> info_;
  LifePtr life_;
  std::map<agent::RunKey, Kept> kept_;
};

}  // namespace atelier::sim
