// SPDX-License-Identifier: MIT
#pragma once
// Inside of Agent: carries the machine's actions out. Private to agent*.cpp.

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "agent/agent.hpp"
#include "agent/collector.hpp"
#include "agent/credentials.hpp"
#include "agent/engine_client.hpp"
#include "agent/engine_log.hpp"
#include "agent/gateway_client.hpp"
#include "agent/input_store.hpp"
#include "agent/machine.hpp"
#include "agent/run_files.hpp"
#include "agent/spool.hpp"
#include "comfy/ability.hpp"
#include "link/codec.hpp"
#include "runtime/child_process.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"

namespace atelier::agent {

/// A counter of turns: so many may be under way at once.
class Turns {
 public:
  Turns(Runtime& runtime, int free) : runtime_(runtime), changed_(runtime), free_(free) {}
  /// False if cancelled.
  [[nodiscard]] awaitable<bool> take();
  void give() {
    ++free_;
    changed_.notify_all();
  }

 private:
  Runtime& runtime_;
  Signal changed_;
  int free_;
};

struct Agent::Impl {
  /// One ComfyUI process.
  struct Engine {
    Engine(Runtime& runtime, net::HttpClient& http, net::Url base, std::string client_id,
           milliseconds hang_limit)
        : client(runtime, http, std::move(base), std::move(client_id), hang_limit),
          inputs(runtime),
          life(runtime) {}
    EngineClient client;
    InputStore inputs;
    std::optional<EngineFolders> folders;
    bool sees_folders = true;    // what answers is the ComfyUI whose folders these are
    std::string folders_unused;  // why, if not
    /// Null: its files go by HTTP.
    [[nodiscard]] const EngineFolders* folders_in_use() const {
      return folders && sees_folders ? &*folders : nullptr;
    }
    std::string temp_parent;                // of its temp folder
    std::string command;                    // "": somebody else keeps it running
    std::optional<EngineLog> log;           // of a launched one
    std::shared_ptr<ChildProcess> process;  // while it runs
    bool start_now = false;                 // without the pause after its end
    RunKey hinted;                          // of whose inputs some are on their way, or there
    std::shared_ptr<RunFiles> hinted_files;
    bool up = false;
    Digest digest;
    std::shared_ptr<const std::string> object_info_bytes;
    std::string model_sizes = "{}";  // JSON; so if it does not tell them
    std::optional<comfy::ModelLists> model_names;
    std::optional<Digest> models;
    std::shared_ptr<const std::string> model_lists;  // of that digest, with sizes and times
    std::shared_ptr<const comfy::ObjectInfo> object_info;
    comfy::EngineAbility ability;
    comfy::EngineAbility next_ability;  // as it was at the last look, and is to be seen once more
    std::optional<Digest> next_models;
    std::optional<Digest> seen;  // of the bytes that came last: file lists in them change with every job
    EngineInfo info;             // as the machine was told
    bool leaving = false;        // it is not started again
    TaskGroup life;              // what watches over it
  };

  Impl(Runtime& runtime_in, AgentOptions options_in, Spool spool_in, MachineOptions machine_options);

  /// `host` is this machine by one of its own names (cli.cpp).
  [[nodiscard]] static bool can_listen(std::string_view host, std::uint16_t port);

  // agent_slots.cpp
  std::unique_ptr<Engine> make_engine(net::Url address);
  /// Folder and log. Errors: config, io.
  [[nodiscard]] Result<void> prepare_engine(std::uint32_t slot);
  void watch(std::uint32_t slot);
  /// Errors: config (its port is in use), and those of prepare_engine.
  [[nodiscard]] Result<void> add_engine(const AddEngine& action);
  awaitable<void> end_engine(std::uint32_t slot);
  awaitable<int> run();
  /// Gives an input to the machine and carries its actions out; calls from inside wait their turn.
  void feed(Input input);
  void perform(Action action);
  void do_action(Dial&& action);
  void do_action(CloseLink&& action);
  void do_action(Send&& action);
  void do_action(FetchJob&& action);
  void do_action(Prefetch&& action);
  void do_action(PostRun&& action);
  void do_action(AskRun&& action);
  void do_action(InterruptRun&& action);
  void do_action(Collect&& action);
  void do_action(CollectRest&& action);
  void do_action(Upload&& action);
  void do_action(Keep&& action);
  void do_action(PublishObjectInfo&& action);
  void do_action(Forget&& action);
  void do_action(FreeEngine&& action);
  void do_action(RestartEngine&& action);
  void do_action(AddEngine&& action);
  void do_action(RemoveEngine&& action);
  void do_action(OpenTunnel&& action);
  void do_action(Exit&& action);

  // agent_link.cpp
  awaitable<void> dial();
  awaitable<Result<std::unique_ptr<net::WebSocket>>> connect_link(std::string address,
                                                                  net::WebSocketLimits limits);
  awaitable<void> read_link(net::WebSocket& socket, std::uint64_t generation);
  bool hear(const net::Message& message, std::string& why);

  // agent_engine.cpp
  awaitable<void> keep_engine(std::uint32_t slot);
  awaitable<Result<void>> live_with_engine(std::uint32_t slot);
  /// After a break, if it is the same ComfyUI and has a run of ours. Errors: closed, unavailable.
  awaitable<Result<std::unique_ptr<net::WebSocket>>> open_socket_again(std::uint32_t slot,
                                                                       milliseconds pause);
  /// A line in what the gateway shows of this slot.
  void tell(std::uint32_t slot, const std::string& what);
  /// Are they its own?
  awaitable<void> look_at_folders(std::uint32_t slot);
  /// Waits while too much waits for the link: what ComfyUI says then stays in its own queue.
  awaitable<Result<void>> let_link_follow(std::uint32_t slot);
  awaitable<void> poll_engine(std::uint32_t slot);
  /// `anew`: a ComfyUI that has just come up. Otherwise only what it can run and the names of its models
  /// count; gives whether these changed.
  awaitable<Result<bool>> read_lists(std::uint32_t slot, bool anew);
  /// The lists of models, with what is known of each.
  struct LookedUp {
    comfy::ModelLists names;
    Digest digest;
    std::shared_ptr<const std::string> text;
    std::string sizes;
  };
  /// Nothing if their names are as they were, or the engine does not tell.
  awaitable<std::optional<LookedUp>> look_up_models(std::uint32_t slot, bool anew);
  /// Nodes and models are put there while a ComfyUI runs.
  awaitable<void> look_for_changes(std::uint32_t slot);
  awaitable<void> measure();

  // agent_process.cpp
  awaitable<void> keep_process(std::uint32_t slot);
  /// Gives how it ended.
  awaitable<std::string> live_with_process(std::uint32_t slot, std::shared_ptr<ChildProcess> process);
  awaitable<void> end_its_group(std::shared_ptr<ChildProcess> process);
  /// SIGTERM, and SIGKILL if that is not enough.
  awaitable<void> end_process(std::uint32_t slot);
  awaitable<void> stop_processes();

  // agent_work.cpp
  awaitable<void> fetch(FetchJob action, std::shared_ptr<RunFiles> run);
  awaitable<Result<void>> fetch_all(FetchJob& action, std::shared_ptr<RunFiles> run);
  awaitable<void> prefetch(Prefetch action, std::shared_ptr<RunFiles> files);
  awaitable<void> post(PostRun action, std::shared_ptr<RunFiles> run);
  awaitable<void> ask(AskRun action);
  /// Removes the folders of runs that ended `age` ago or longer, and parts of inputs that were left as long
  /// ago.
  awaitable<void> sweep_folders(std::uint32_t slot, milliseconds age);
  awaitable<void> collect(Collect action, std::shared_ptr<RunFiles> run);
  awaitable<void> collect_rest(CollectRest action, std::shared_ptr<RunFiles> run);
  awaitable<void> upload(Upload action, std::shared_ptr<RunFiles> run);
  awaitable<void> publish(PublishObjectInfo action);

  // agent_kept.cpp
  /// Before run(): what the last process of this agent had to hand over.
  void restore();
  Result<std::shared_ptr<RunFiles>> find_files(const KeptRun& kept);
  awaitable<void> keep(Keep action, std::shared_ptr<RunFiles> run);

  // tunnel.cpp
  awaitable<void> tunnel(OpenTunnel action);

  awaitable<void> keep_time();
  std::shared_ptr<RunFiles> files_of(RunKey key);
  std::uint64_t disk_free() const;

  Runtime& runtime;
  AgentOptions options;
  Spool spool;
  net::HttpClient gateway_http;
  net::HttpClient engine_http;
  Credentials credentials;
  GatewayClient gateway;
  Collector collector;
  Turns uploads;
  AgentMachine machine;
  std::vector<std::unique_ptr<Engine>> engines;
  std::vector<std::unique_ptr<Engine>> former_engines;  // what they had begun may still look at them
  std::map<RunKey, std::shared_ptr<RunFiles>> runs;

  std::deque<Input> inputs;
  bool feeding = false;
  std::unique_ptr<Timer> timer;
  net::OutgoingQueue* outgoing = nullptr;  // of the open link
  net::WebSocket* socket = nullptr;
  std::uint64_t link_generation = 0;
  std::size_t tunnels = 0;  // open, or being opened
  std::optional<int> exit_code;
  bool link_over = true;
  bool stopping = false;  // no ComfyUI is started any more
  Signal changed;         // exit_code, link_over, or an engine's process
  TaskGroup tasks;        // last: ends first
};

}  // namespace atelier::agent
