// SPDX-License-Identifier: MIT
#pragma once
// What goes into AgentMachine and what comes out of it: every effect on the world is an Action, every result
// an Input. agent.cpp carries actions out with sockets and files; the simulation with a fake ComfyUI and a
// fake gateway.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "link/messages.hpp"

namespace atelier::agent {

/// One epoch of one job: the key of everything that the agent holds.
struct RunKey {
  JobId job;
  Epoch epoch;
  auto operator<=>(const RunKey&) const = default;
};

/// A run that has been collected: all that another process of this agent needs to hand it over.
struct FinishedRun {
  RunKey key;
  std::uint32_t slot = 0;
  std::string workshop;  // whose job it is, as its welcome named itself
  bool started = false;
  std::uint64_t gpu_ms = 0;
  std::vector<link::Commit> commits;
  link::Ended ended;  // if all of them are taken
};

// ---- Actions ----

/// Open a link -> LinkUp or LinkDown.
struct Dial {};
/// Close the link if it is open. No answer is needed; LinkDown may come or not.
struct CloseLink {
  std::uint16_t code = 1001;
  std::string reason;
};
struct Send {
  link::AgentMessage message;
  bool newest_only = false;  // a preview: a newer one of its job may take its place
};
/// Fetch prompt and inputs, verify them, put the inputs where the engine finds them, make the rewritten
/// prompt and keep it for PostRun -> JobFetched. `anew`: what was placed there before may be gone.
struct FetchJob {
  RunKey key;
  link::Lease lease;
  bool anew = false;
};
/// Bring inputs of a job that will probably come to where FetchJob will look for them. Takes the place of the
/// slot's earlier one, which ends unless its job has come; key.job 0 brings nothing. No answer.
struct Prefetch {
  RunKey key;
  std::uint32_t slot = 0;
  std::vector<link::InputRef> inputs;
};
/// POST /prompt with the prompt that FetchJob made -> RunPosted.
struct PostRun {
  RunKey key;
  std::uint32_t slot = 0;
  Key128 run_id;
};
/// Where is this run (/queue, /history/ID)? -> RunAsked.
struct AskRun {
  RunKey key;
  std::uint32_t slot = 0;
  Key128 run_id;
};
/// Take it out of the engine's queue if it waits, interrupt it if it runs. No answer.
struct InterruptRun {
  std::uint32_t slot = 0;
  Key128 run_id;
};
/// Read, repair and hash the files that a node's `ui` names -> Collected. The bytes are kept until Forget.
struct Collect {
  RunKey key;
  std::uint32_t slot = 0;
  std::string node;
  std::string ui;
};
/// The same for files in the job's folder that no Collect has read; `node` of the answer is "".
struct CollectRest {
  RunKey key;
  std::uint32_t slot = 0;
};
/// Upload the `index`-th collected file of `node` under number `file` -> Uploaded. From byte 0 if `anew`.
struct Upload {
  RunKey key;
  std::string node;
  std::uint32_t index = 0;
  std::uint32_t file = 0;
  Digest digest;
  std::uint64_t size = 0;
  bool anew = false;
};
/// Write down this run, and where the files lie that were collected for it, so that the agent's next process
/// finds both. Forget undoes it. No answer.
struct Keep {
  FinishedRun run;
};
/// Give the object_info of the slot's engine, and its lists of models, to the gateway unless it has them ->
/// ObjectInfoPublished.
struct PublishObjectInfo {
  std::uint32_t slot = 0;
  Digest digest;
  std::optional<Digest> models;
};
/// Nothing of this run is needed any more: stop what is under way for it, delete what is kept. No JobFetched,
/// Collected or Uploaded of it comes after this.
struct Forget {
  RunKey key;
};
/// POST /free. No answer.
struct FreeEngine {
  std::uint32_t slot = 0;
};
/// End the ComfyUI process that the agent started; it comes up again -> EngineDown, EngineUp.
struct RestartEngine {
  std::uint32_t slot = 0;
};
/// Make this ComfyUI a slot of the worker, and start it if the agent launches them -> EngineAdded.
struct AddEngine {
  std::uint32_t slot = 0;
  std::uint32_t port = 0;  // 0: the one after the highest
};
/// Let go of it: end it if the agent started it, watch it no more -> EngineRemoved. No job of it is left.
struct RemoveEngine {
  std::uint32_t slot = 0;
};
/// Connect the gateway with the slot's ComfyUI. No answer.
struct OpenTunnel {
  std::uint32_t slot = 0;
  Key128 tunnel;
};
/// The process ends.
struct Exit {
  int code = 0;
  std::string why;
};

using Action = std::variant<Dial, CloseLink, Send, FetchJob, Prefetch, PostRun, AskRun, InterruptRun, Collect,
                            CollectRest, Upload, Keep, PublishObjectInfo, Forget, FreeEngine, RestartEngine,
                            AddEngine, RemoveEngine, OpenTunnel, Exit>;

// ---- Inputs ----

/// The handshake was answered with 101. `clock` is Unix milliseconds, `disk_free` bytes.
struct LinkUp {
  std::uint64_t disk_free = 0;
  std::int64_t clock = 0;
};
/// The link ended or could not be opened. `refused`: the gateway answered and does not want this agent
/// (token, version). `name_taken`: another agent has joined under this one's name.
struct LinkDown {
  std::string why;
  bool refused = false;
  bool name_taken = false;
};
struct FromGateway {
  link::GatewayMessage message;
};

struct EngineInfo {
  std::string comfy_version;
  Digest object_info;
  std::optional<Digest> models;  // of its lists, if it tells them
  /// Another number after each restart, as far as can be told, and after its models were unloaded.
  std::uint64_t engine_start = 0;
  std::string device;
  std::uint64_t vram_total = 0;
};
/// The engine answers, its socket is open, and nothing of ours runs in it.
struct EngineUp {
  std::uint32_t slot = 0;
  EngineInfo info;
  std::uint64_t vram_free = 0;
};
/// The engine's socket closed or it refuses connections.
struct EngineDown {
  std::uint32_t slot = 0;
  std::string why;
};
/// It goes on, and lists other nodes or models than it did. `info.engine_start` is as before.
struct EngineChanged {
  std::uint32_t slot = 0;
  EngineInfo info;
};
/// Errors: config, io, with a sentence for people.
struct EngineAdded {
  std::uint32_t slot = 0;
  Result<void> result;
};
struct EngineRemoved {
  std::uint32_t slot = 0;
};
/// A text frame, a binary frame of the engine's socket.
struct EngineEvent {
  std::uint32_t slot = 0;
  std::string text;
};
struct EngineFrame {
  std::uint32_t slot = 0;
  std::string bytes;
};
/// What the engine says is not read on for the moment: results wait for a slow link.
struct EngineUnread {
  std::uint32_t slot = 0;
};
/// Whole lines that a launched engine printed.
struct EnginePrinted {
  std::uint32_t slot = 0;
  std::vector<std::string> lines;
};
/// What whoever looks at the workshop should know of it; nobody may be listening yet.
struct EngineNoted {
  std::uint32_t slot = 0;
  std::string text;
};
/// It answered a poll.
struct EngineAnswered {
  std::uint32_t slot = 0;
  std::string device;
  std::uint64_t vram_total = 0, vram_free = 0;
  std::optional<std::uint64_t> queue_remaining;
};
/// What the machine's instruments say, every few seconds.
struct Measured {
  std::uint64_t disk_free = 0;                        // bytes
  std::int64_t clock = 0;                             // Unix milliseconds
  std::optional<std::vector<link::GpuReading>> gpus;  // absent without a driver that can be asked
};

/// Error codes that mean something: stale_epoch (drop), disk_full, closed / timeout / unavailable (try
/// again), all else: the job cannot be run here.
struct JobFetched {
  RunKey key;
  Result<void> result;
};
/// failed: with 500. unreachable: not at all, or with what is no word about the prompt (429, a proxy's 502).
enum class PostResult { accepted, refused, failed, unreachable };
struct RunPosted {
  RunKey key;
  PostResult result = PostResult::accepted;
  std::string body;  // ComfyUI's answer, or why there is none
};
enum class RunPlace { pending, running, done, absent, unreachable };
/// What /history/ID says: `outcome` by its messages; `event` the ending frame; `report`
/// {"status":..,"meta":..}.
struct RunHistory {
  link::Outcome outcome = link::Outcome::succeeded;
  std::string event;
  std::string report;
  std::uint64_t gpu_ms = 0;
  std::vector<std::pair<std::string, std::string>> outputs;  // (node, ui)
};
struct RunAsked {
  RunKey key;
  RunPlace place = RunPlace::absent;
  std::optional<RunHistory> history;  // when done
};
/// `files` have all but their number `file`. Errors: unavailable (the engine died), all else: the files are
/// lost.
struct Collected {
  RunKey key;
  std::string node;
  Result<std::vector<link::CommitFile>> files;
};
/// Error codes as in JobFetched, bad_hash, and io (the bytes are no longer there).
struct Uploaded {
  RunKey key;
  std::string node;
  std::uint32_t index = 0;
  Result<void> result;
};
/// An error is one of object_info: the lists of models hold nothing up.
struct ObjectInfoPublished {
  std::uint32_t slot = 0;
  Digest digest;
  Result<void> result;
  std::optional<Digest> models = {};
};
/// SIGTERM: finish what runs, take no more, then Exit.
struct DrainRequested {
  std::string reason;
};
/// A second signal: give back what is not computed and go.
struct StopRequested {};
/// The instant of next_at() has come.
struct Tick {};

using Input = std::variant<LinkUp, LinkDown, FromGateway, EngineUp, EngineDown, EngineChanged, EngineAdded,
                           EngineRemoved, EngineEvent, EngineFrame, EngineUnread, EnginePrinted, EngineNoted,
                           EngineAnswered, Measured, JobFetched, RunPosted, RunAsked, Collected, Uploaded,
                           ObjectInfoPublished, DrainRequested, StopRequested, Tick>;

}  // namespace atelier::agent
