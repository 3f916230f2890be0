// SPDX-License-Identifier: MIT
#pragma once
// What the agent knows of one epoch of a job, from its lease to ended_ok. Plain data of AgentMachine.

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/json_text.hpp"
#include "agent/own_names.hpp"
#include "agent/vocabulary.hpp"
#include "base/time.hpp"

namespace atelier::agent {

/// The way of a job through the agent. fetched: waits for its engine.
enum class Phase { fetching, fetched, asking, posting, posted, running, computed };

/// The way of a node's outputs: files read, bytes at the gateway, commit answered. failed: the files are
/// lost.
enum class NodePhase { collecting, uploading, committing, committed, failed };

struct NodeOutput {
  std::string node, display_node, ui;
  NodePhase phase = NodePhase::collecting;
  std::vector<link::CommitFile> files;
  std::set<std::uint32_t> uploaded;  // indices into files
  std::set<std::uint32_t> uploading;
  std::optional<Instant> retry_at;
  int bad_hashes = 0, unreachable = 0;
  std::deque<std::uint32_t> numbers;  // of files that are to be collected once more
  bool changed = false;               // one of them is not any more what was collected,
  int changes = 0;                    // which happened so often
  int no_room = 0;                    // how often this worker's disk was full
  std::string lost;                   // why its files are lost
};

struct Unsent {
  std::string type;  // of an event
  std::variant<link::Event, link::Preview> message;
};

/// What custom nodes have sent of their own in the second that began at `since`.
struct Talk {
  Instant since;
  std::size_t messages = 0, bytes = 0;
  bool cut = false;  // some were left out; the log says so once per job
};

struct HeldJob {
  RunKey key;
  link::Lease lease;
  std::string workshop;   // whose lease it is
  bool kept = false;      // written down for the agent's next process
  bool restored = false;  // found by this process: its engine, and what it knew of the run, may be gone
  Phase phase = Phase::fetching;
  bool ghost = false;  // dropped: nothing is said about it any more, only its run is waited for
  bool stop_requested = false;
  bool over_limit = false;
  bool started = false;
  bool event_unreadable = false;  // ComfyUI said something during this run that might have been of it
  Instant started_at;
  Instant seen_at;  // last sign of the run
  int times_absent = 0;
  int fetch_tries = 0;
  bool inputs_placed_anew = false;  // ComfyUI did not find one of them
  bool asking = false;              // an AskRun is under way
  std::optional<Instant> ask_at;
  std::optional<Instant> fetch_at;

  std::map<std::string, link::Event> whereabouts;  // what a gateway that knows nothing has to hear of it
  std::optional<Instant> interrupted_at;           // first, since its engine was last started again for it
  std::deque<Unsent> unsent;                       // made while there was no link
  std::size_t unsent_bytes = 0;                    // of the frames among them
  std::size_t unsent_event_bytes = 0;              // of the events among them
  OwnNames names;                                  // for what the participant reads
  Talk talk;
  std::optional<link::Preview> waiting_preview;
  Instant preview_at;  // not before

  std::vector<NodeOutput> nodes;
  std::uint32_t files = 0;  // numbers given
  bool rest_asked = false, rest_collected = false;

  std::optional<link::Outcome> outcome;  // as the engine ended it, or as the agent decided
  link::EndCause cause = link::EndCause::engine;
  std::string reason;
  std::string end_event;
  std::optional<Refusal> refused_in_part;  // of outputs that were to run; all else does
  std::uint64_t gpu_ms = 0;
  std::vector<std::pair<std::string, std::string>> messages;  // status messages seen: (type, data)
  std::optional<std::string> report;
  bool ended_sent = false;
  bool ended_without_run = false;  // its end frees the slot, which no `computed` did

  [[nodiscard]] bool in_engine() const {
    return phase == Phase::posting || phase == Phase::posted || phase == Phase::running;
  }
  [[nodiscard]] bool computed() const { return phase == Phase::computed; }
  [[nodiscard]] NodeOutput* find(std::string_view node) {
    for (NodeOutput& output : nodes) {
      if (output.node == node) return &output;
    }
    return nullptr;
  }
};

}  // namespace atelier::agent
