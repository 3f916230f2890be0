// SPDX-License-Identifier: MIT
#pragma once
// The agent's protocol logic without I/O (docs/protocol/worker-link.md): leases in, runs of ComfyUI, outputs
// committed, one `ended` per job; hello and repeats after every break of the link. Feed it inputs, carry out
// its actions in order, and give it a Tick when next_at() comes. One thread; the same inputs give the same
// actions.

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "agent/held_job.hpp"
#include "agent/vocabulary.hpp"
#include "base/time.hpp"

namespace atelier::agent {

struct MachineOptions {
  std::string name;     // of the worker
  std::string version;  // "atelier-worker 0.1.0"
  Key128 boot;
  std::uint32_t slots = 1;
  bool launched = false;              // the agent started its engines
  std::uint64_t seed = 1;             // for jitter
  milliseconds drain_limit{600'000};  // then what is not computed goes back
};

/// A run without any sign of life for so long is asked for.
inline constexpr milliseconds kSilence{15'000};
/// An engine that goes on with an interrupted run for so long is started again, if the agent started it; else
/// it gets no job until that run has ended. The workshop has ended the job by then: after 10 s, or a minute
/// after its time limit.
inline constexpr milliseconds kInterruptPatience{90'000};

class AgentMachine {
 public:
  explicit AgentMachine(MachineOptions options);

  /// Holds what an earlier process has kept; before start(). A second one of the same key is ignored.
  void restore(FinishedRun run);
  /// The first actions (Dial).
  [[nodiscard]] std::vector<Action> start(Instant now);
  [[nodiscard]] std::vector<Action> on(Instant now, const Input& input);
  /// When a Tick is due; far in the future if nothing is.
  [[nodiscard]] Instant next_at() const;

  /// A job that is not computed is held for this slot.
  [[nodiscard]] bool busy(std::uint32_t slot) const;

  // For tests and for the log.
  [[nodiscard]] bool linked() const { return linked_; }
  [[nodiscard]] std::size_t held() const { return jobs_.size(); }
  [[nodiscard]] LinkId link() const { return link_; }
  [[nodiscard]] const std::map<RunKey, HeldJob>& jobs() const { return jobs_; }

 private:
  enum class Place {
    here,     // the gateway knows it
    adding,   // AddEngine was given
    leaving,  // takes no more; the gateway still knows it, for what runs there
    left,     // the gateway was told; outputs of it are still on their way
    ending,   // RemoveEngine was given
    free,     // there is no such slot: its number may be given again
  };
  /// One ComfyUI process.
  struct Slot {
    Place place = Place::here;
    bool up = false;
    bool ever_up = false;
    bool stands_still = false;  // it does not end what it runs, and nobody here can start it again
    EngineInfo info;
    Instant answered_at;
    link::TelemetrySlot reading;        // of its last answer
    bool unloads = false;               // /free was asked for while it ran something
    std::optional<Instant> rest_until;  // no slot_idle before: its last job could not be begun
    RunKey rests_after;                 // what it gave back: a new link would take an empty slot for idle
    link::ReturnReason returned_for = link::ReturnReason::refused_by_engine;  // of that
    milliseconds pause{0};   // how long it rested last, since a job was begun
    bool owes_idle = false;  // a lease ended here without `computed`; slot_idle is due when the slot is empty
    std::optional<Instant> publish_at;  // object_info to be offered before engine_ready
    bool publishing = false;
    bool announced = false;  // the gateway knows that this engine is ready
    bool hello_up = false;   // what the hello said of it
    bool told = false;       // the gateway knows that there is this slot
    std::string note;        // to be told when there is a link
    bool was_noted = false;  // something was, since it last came up
    std::string speaks;      // the run whose events come: what comes without a run id is of it
    [[nodiscard]] bool takes_jobs() const { return up && !stands_still; }
  };

  // machine.cpp: the link, the engines, time.
  void handle(const LinkUp& input);
  void handle(const LinkDown& input);
  void handle(const FromGateway& input);
  void handle(const EngineUp& input);
  void handle(const EngineDown& input);
  void handle(const EngineChanged& input);
  void handle(const EnginePrinted& input);
  void handle(const EngineNoted& input);
  /// Tells it when there is a link, in place of what was not told yet.
  void note(std::uint32_t slot, std::string text);
  void tell_note(std::uint32_t slot);
  void handle(const EngineAnswered& input);
  void handle(const Measured& input);
  void handle(const ObjectInfoPublished& input);
  void handle(const DrainRequested& input);
  void handle(const StopRequested& input);
  void handle(const Tick& input);
  void answer(const link::Welcome& message);
  void send(link::AgentMessage message, bool newest_only = false);
  void lose_name();
  void dial_later(bool refused);
  void announce(std::uint32_t slot);
  void publish(std::uint32_t slot);
  /// Of each slot that runs nothing: nobody may have said so.
  void own_idle_slots();
  void pay_idle(std::uint32_t slot);
  /// A slot that could not begin a job waits before it is offered the next one, each time twice as long.
  void rest(const HeldJob& after);
  void leave_when_empty();
  void leave(int code, std::string why);
  link::Hello hello(const LinkUp& input) const;

  // machine_slots.cpp: slots that come and go while the worker runs.
  void handle(const EngineAdded& input);
  void handle(const EngineRemoved& input);
  void add_slot(const link::AddSlot& message);
  /// In the log here, and in the one that the gateway shows.
  void tell_not_added(const std::string& why);
  void remove_slot(const link::RemoveSlot& message);
  void look_at_slots();
  void free_memory(std::uint32_t slot);
  void unloaded(std::uint32_t slot);
  [[nodiscard]] link::HelloSlot line_of(std::uint32_t slot) const;
  /// The gateway knows this slot.
  [[nodiscard]] bool listed(std::uint32_t slot) const {
    return slot < slots_.size() &&
           (slots_[slot].place == Place::here || slots_[slot].place == Place::leaving);
  }

  // machine_jobs.cpp: a lease on its way through the engine.
  void handle(const JobFetched& input);
  void handle(const RunPosted& input);
  void handle(const RunAsked& input);
  void handle(const EngineEvent& input);
  void take(const link::Lease& lease);
  void stop(const link::Stop& message);
  void fetch(HeldJob& job);
  void prefetch(const link::Hint& hint);
  void post_if_ready(HeldJob& job);
  void ask(HeldJob& job);
  void interrupt(HeldJob& job);
  void lose_patience(HeldJob& job);
  void run_is_gone(HeldJob& job);
  void run_is_done(HeldJob& job, const RunHistory& history);
  void give_back(HeldJob& job, link::ReturnReason reason, std::string detail);
  void drop(HeldJob& job);
  void erase(HeldJob& job);
  void repeat(HeldJob& job);
  void tick(HeldJob& job);
  HeldJob* find(RunKey key);
  HeldJob* find_run(std::uint32_t slot, std::string_view run_id);
  HeldJob* running_in(std::uint32_t slot);

  // machine_live.cpp: what a run says while it runs.
  void handle(const EngineFrame& input);
  void handle(const EngineUnread& input);
  void relay(HeldJob& job, const std::string& type, std::string text);
  /// Of a custom node, without a run id.
  void relay_nameless(std::uint32_t slot, const std::string& type, const std::string& text);
  /// False if the job's custom nodes have said too much in this second.
  [[nodiscard]] bool may_talk(HeldJob& job, const std::string& type, std::size_t bytes) const;
  void relay_frame(HeldJob& job, link::Preview frame);
  void send_frame(link::Preview frame);
  void send_unsent(HeldJob& job);
  HeldJob* speaker(std::uint32_t slot);
  /// What the gateway takes.
  [[nodiscard]] std::size_t json_bytes_max() const;
  [[nodiscard]] std::size_t frame_bytes_max() const;
  [[nodiscard]] std::size_t files_per_commit_max() const {
    const std::uint64_t taken = settings_.files_per_commit_max.value_or(link::kFormerFilesPerCommitMax);
    return static_cast<std::size_t>(std::min<std::uint64_t>(taken, link::kFilesPerCommitMax));
  }

  // machine_outputs.cpp: what it made, and its end.
  void handle(const Collected& input);
  void handle(const Uploaded& input);
  void answer(const link::Committed& message);
  void answer(const link::Refused& message);
  void answer(const link::EndedOk& message);
  void collect(HeldJob& job, std::string node, std::string display_node, std::string ui);
  void upload(HeldJob& job, NodeOutput& output, bool anew);
  void commit(HeldJob& job, NodeOutput& output);
  /// A file grew or was replaced after its node had named it: all of the node are collected once more.
  void take_anew(HeldJob& job, NodeOutput& output) const;
  void lose_files(HeldJob& job, NodeOutput& output, std::string why);
  void compute_done(HeldJob& job);
  void end_if_done(HeldJob& job);
  void keep(HeldJob& job);
  void decide_end(HeldJob& job) const;
  void send_ended(HeldJob& job);
  void fail(HeldJob& job, link::EndCause cause, std::string node, std::string node_type,
            std::string reason) const;
  void end_without_run(HeldJob& job);
  void not_collected(HeldJob& job, NodeOutput& output, const Error& error);
  /// Files wait for room on this worker's disk: it takes no other job.
  [[nodiscard]] bool out_of_room() const;
  std::int64_t unix_ms() const { return now_.ms + clock_offset_; }

  MachineOptions options_;
  std::uint64_t random_state_;
  Instant now_;
  std::vector<Action> out_;
  std::vector<Slot> slots_;
  std::map<RunKey, HeldJob> jobs_;
  std::uint64_t events_ = 0;        // relayed so far: a run that is taken up again does not count anew
  std::deque<Key128> posted_runs_;  // of this boot, newest last, bounded

  bool socket_open_ = false;  // 101 came
  bool linked_ = false;       // welcome came
  bool ever_linked_ = false;
  LinkId link_;
  std::string workshop_;  // of the last welcome
  link::Settings settings_;
  std::int64_t clock_offset_ = 0;  // Unix milliseconds minus Instant
  milliseconds heartbeat_{5000};
  std::optional<Instant> heartbeat_at_;
  std::optional<Instant> dial_at_;
  milliseconds backoff_{500};

  bool draining_ = false;  // by the gateway or by a signal
  bool leaving_ = false;   // by a signal: exit when empty
  bool gone_ = false;      // Exit was given
  std::optional<Instant> drain_until_;
};

}  // namespace atelier::agent
