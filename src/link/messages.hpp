// SPDX-License-Identifier: MIT
#pragma once
// What a worker's agent and the gateway say to one another on the link (docs/protocol/worker-link.md, version
// 1). Plain values: no I/O, no JSON. The page holds the meaning of each message and the order in which they
// come.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/hash.hpp"
#include "base/ids.hpp"

namespace atelier::link {

/// Raised when a peer of the former version would misunderstand; new fields and new lossy messages do not
/// raise it.
inline constexpr std::uint32_t kProtocolVersion = 1;

/// Closes the link of an agent when another boot joins under its name. Agents that do not know it dial again.
inline constexpr std::uint16_t kNameTakenCode = 4002;

// Limits, the same in both directions unless said. Decoding refuses what is above them.
inline constexpr std::size_t kTextBytesMax = 16 << 20;    // one text frame
inline constexpr std::size_t kPreviewBytesMax = 2 << 20;  // one binary frame, header included
inline constexpr std::size_t kResultBytesMax = 64 << 20;  // one frame of ComfyUI, whose parts come in several
inline constexpr std::size_t kPartBytes = 256 << 10;      // of such a frame in one binary frame
inline constexpr std::size_t kJsonBytesMax = 2 << 20;     // event.json, commit.ui, ended.event, ended.report
inline constexpr std::size_t kFormerJsonBytesMax = 384 << 10;  // the same, with a gateway that names no limit
inline constexpr std::size_t kNameBytesMax = 1024;       // file names, folders, node ids, model references
inline constexpr std::size_t kTextFieldBytesMax = 4096;  // reasons
inline constexpr std::size_t kSlotsMax = 64;
inline constexpr std::size_t kGpusMax = 64;
inline constexpr std::size_t kJobsMax = 256;  // lines of a hello
inline constexpr std::size_t kFilesPerCommitMax = 5000;
inline constexpr std::size_t kFormerFilesPerCommitMax = 1000;  // with a gateway that names no limit
inline constexpr std::size_t kFilesPerJobMax = 10'000;         // numbers N of uploads
inline constexpr std::size_t kInputsMax = 1000;
inline constexpr std::size_t kHoldsMax = 64;
inline constexpr std::size_t kNodesMax = 5000;  // committed nodes of one job
inline constexpr std::size_t kLogLinesMax = 300;
inline constexpr std::uint64_t kIdMax =
    (std::uint64_t{1} << 53) - 1;  // also sizes: exact in every JSON reader

// ---- Parts ----

enum class EngineState { starting, ready, lost };
enum class JobState { fetching, posted, running, computed };
enum class Outcome { succeeded, failed, cancelled };
enum class Verdict { keep, drop };
/// Where ComfyUI keeps a file.
enum class FileType { input, output, temp };
/// Why a job goes back to the head of its lane without having failed.
enum class ReturnReason { draining, disk_full, input_not_fetched, slot_removed, refused_by_engine };
/// What ended a job: the engine itself (success, error, interruption); its files were missing, empty or
/// outside its folders; it did not take the prompt; the time limit of the lease.
enum class EndCause { engine, outputs_lost, refused, time_limit };
enum class RefuseReason { stale, bad_hash, disk };

struct HelloSlot {
  std::uint32_t slot = 0;
  std::string comfy_version;  // "" while it is not known
  Digest object_info;  // SHA-256 of the bytes that PUT /worker/object_info/HASH carries; none while not known
  std::optional<Digest> models;  // the same of PUT /worker/models/HASH; absent while its lists are not known
  EngineState engine = EngineState::starting;
  std::uint64_t engine_start = 0;  // changes when the engine was restarted: what it held is gone
  std::string device;              // "" while not known; the kind of worker for estimates
  std::uint64_t vram_total = 0;    // bytes
  std::vector<std::string>
      holds;  // references of the models in the engine's memory, as far as the agent knows
  bool operator==(const HelloSlot&) const = default;
};

struct StagedFile {
  std::uint32_t file = 0;   // the N of PUT /worker/output/JOB/EPOCH/N
  std::uint64_t bytes = 0;  // acknowledged by the gateway so far
  bool operator==(const StagedFile&) const = default;
};

struct HelloJob {
  JobId job;
  Epoch epoch;
  std::uint32_t slot = 0;
  JobState state = JobState::fetching;
  std::vector<std::string> committed;  // nodes whose commit the gateway has answered
  std::vector<StagedFile> staged;
  bool operator==(const HelloJob&) const = default;
};

struct HeartbeatSlot {
  std::uint32_t slot = 0;
  std::uint64_t engine_answered_ms = 0;  // age of the engine's last answer; kIdMax when it never answered
  bool operator==(const HeartbeatSlot&) const = default;
};

/// One file of a commit. `stem`, `number`, `rest` as core.md 6 splits a name; without a number `number` is
/// absent and `stem` is the whole name. `place` is where ComfyUI's `ui` names it: "images/0".
struct CommitFile {
  std::string place;
  std::string folder;  // the participant's own sub-folder, "" for none, '/' between parts
  std::string stem;
  std::optional<std::uint64_t> number;
  std::string rest;
  FileType type = FileType::output;
  bool in_job_folder = false;  // ComfyUI numbered it inside atelier/<job>-<epoch>/: its number counts
  std::uint64_t size = 0;
  Digest digest;
  std::uint32_t file = 0;  // the N under which its bytes were uploaded
  bool operator==(const CommitFile&) const = default;
};

struct TelemetrySlot {
  std::uint32_t slot = 0;
  std::string device;
  std::uint64_t vram_total = 0, vram_free = 0;   // bytes
  std::optional<std::uint64_t> queue_remaining;  // runs that this ComfyUI has, the running one included
  bool operator==(const TelemetrySlot&) const = default;
};

/// One GPU of the worker's machine, by its driver; what the driver does not say is absent.
struct GpuReading {
  std::string name;
  std::uint64_t memory_total = 0, memory_used = 0;  // bytes
  std::optional<std::uint64_t> load_percent, temperature_celsius, power_milliwatts, power_limit_milliwatts;
  bool operator==(const GpuReading&) const = default;
};

struct Answer {
  JobId job;
  Epoch epoch;
  Verdict verdict = Verdict::drop;
  bool operator==(const Answer&) const = default;
};

struct PromptRef {
  std::uint64_t bytes = 0;
  Digest digest;
  bool operator==(const PromptRef&) const = default;
};

/// A participant's file that the job reads. `name` may hold folders ("3d/cup.glb"), never "..", never a
/// leading '/'.
struct InputRef {
  std::string name;
  FileType type = FileType::input;
  Digest digest;
  std::uint64_t size = 0;
  /// It lies in this folder ("faces" of "faces/1.png"), which the prompt names: the files of one folder stay
  /// together and keep their names.
  std::optional<std::string> folder = std::nullopt;
  bool operator==(const InputRef&) const = default;
};

struct Settings {
  std::uint32_t previews_per_second_max = 30;  // per job; the agent drops the older ones
  // What this gateway takes. One that does not say it takes kFormerJsonBytesMax, no frame in
  // parts, and kFormerFilesPerCommitMax.
  std::optional<std::uint64_t> json_bytes_max, result_bytes_max, files_per_commit_max;
  bool operator==(const Settings&) const = default;
};

// ---- Agent -> gateway ----

/// First message of every link.
struct Hello {
  std::uint32_t protocol = kProtocolVersion;
  std::string agent;  // "atelier-worker 0.1.0"
  std::string name;   // 1..64 of [A-Za-z0-9._-]; the worker is known by it
  Key128 boot;        // random, made at the agent's start
  std::vector<HelloSlot> slots;
  std::vector<HelloJob> jobs;
  std::uint64_t disk_free = 0;   // bytes
  std::int64_t clock = 0;        // the agent's wall clock, Unix milliseconds: display only
  std::optional<bool> launched;  // it started its ComfyUIs, and can start them again
  bool operator==(const Hello&) const = default;
};
struct Heartbeat {
  std::vector<HeartbeatSlot> slots;
  bool operator==(const Heartbeat&) const = default;
};
/// ComfyUI's execution_start came.
struct Started {
  JobId job;
  Epoch epoch;
  bool operator==(const Started&) const = default;
};
/// A JSON event of ComfyUI, as it came, with the run id as its prompt_id.
struct Event {
  JobId job;
  Epoch epoch;
  std::uint64_t n = 0;  // rising within (job, epoch); the same if it comes again after a break of the link
  std::string json;     // the whole frame {"type":..,"data":..}
  bool operator==(const Event&) const = default;
};
/// A binary frame of ComfyUI (sent as a binary frame of the link).
struct Preview {
  JobId job;
  Epoch epoch;
  std::uint32_t kind = 0;  // ComfyUI's event id: 1 image, 3 text, 4 image with metadata
  std::string frame;       // what follows the event id, or a part of it
  bool more = false;       // the next binary frame of this link has the next part
  bool operator==(const Preview&) const = default;
};
/// ComfyUI has done with the job, whatever the end: the slot is free.
struct Computed {
  JobId job;
  Epoch epoch;
  std::uint64_t gpu_ms = 0;  // from execution_start to the end event
  bool operator==(const Computed&) const = default;
};
/// The outputs of one node; every file's bytes lie in staging. Repeated until answered.
struct Commit {
  JobId job;
  Epoch epoch;
  std::string node;          // "" = files without a ui entry
  std::string display_node;  // as `executed` named it
  std::string ui;            // the node's `output` object as JSON text, with ComfyUI's names
  std::vector<CommitFile> files;
  bool operator==(const Commit&) const = default;
};
/// The job is over; everything that it made is committed. Repeated until ended_ok.
struct Ended {
  JobId job;
  Epoch epoch;
  Outcome outcome = Outcome::failed;
  EndCause cause = EndCause::engine;
  std::string reason;  // one sentence for people, "" if succeeded
  std::string event;   // the ending frame: execution_success, execution_error (of ComfyUI, or made by the
                       // agent) or execution_interrupted; "" if the job was stopped before ComfyUI had it
  std::string report;  // {"status":{..},"meta":{..}} as ComfyUI's history has them; "" if it never ran
  bool operator==(const Ended&) const = default;
};
struct Returned {
  JobId job;
  Epoch epoch;
  ReturnReason reason = ReturnReason::draining;
  std::string detail;
  bool operator==(const Returned&) const = default;
};
/// Nothing runs in the slot and nothing is queued in its engine.
struct SlotIdle {
  std::uint32_t slot = 0;
  bool operator==(const SlotIdle&) const = default;
};
/// The engine died or cannot be reached. `job` (0 = none) is what it ran; the agent has forgotten it.
struct EngineLost {
  std::uint32_t slot = 0;
  JobId job;
  Epoch epoch;
  std::string detail;
  bool operator==(const EngineLost&) const = default;
};
/// The engine answers (again) and is idle. The gateway has the object_info of `object_info` when this comes.
struct EngineReady {
  std::uint32_t slot = 0;
  std::string comfy_version;
  Digest object_info;
  std::optional<Digest> models;
  std::uint64_t engine_start = 0;
  std::string device;
  std::uint64_t vram_total = 0;
  bool operator==(const EngineReady&) const = default;
};
struct SlotsChanged {
  std::vector<HelloSlot> added;
  std::vector<std::uint32_t> removed;
  bool operator==(const SlotsChanged&) const = default;
};
/// No further leases, please.
struct Draining {
  std::string reason;
  bool operator==(const Draining&) const = default;
};
/// Draining, and nothing is held any more: the agent goes.
struct Empty {
  bool operator==(const Empty&) const = default;
};
struct Telemetry {
  std::uint64_t disk_free = 0;  // bytes, where outputs are kept
  std::vector<TelemetrySlot> slots;
  std::optional<std::vector<GpuReading>> gpus;  // absent without a driver that can be asked
  std::optional<std::int64_t> clock;            // the agent's wall clock, Unix milliseconds: display only
  bool operator==(const Telemetry&) const = default;
};
struct LogLines {
  std::uint32_t slot = 0;
  std::vector<std::string> lines;
  bool operator==(const LogLines&) const = default;
};

using AgentMessage =
    std::variant<Hello, Heartbeat, Started, Event, Preview, Computed, Commit, Ended, Returned, SlotIdle,
                 EngineLost, EngineReady, SlotsChanged, Draining, Empty, Telemetry, LogLines>;

// ---- Gateway -> agent ----

/// Answers hello.
struct Welcome {
  LinkId link;
  std::string workshop;  // 32 hex digits
  std::uint64_t heartbeat_ms = 5000;
  std::uint64_t lease_ttl_ms = 30000;
  std::string blob_url;         // base of the HTTP routes; absolute, or relative to the join URL ("/worker")
  std::vector<Answer> answers;  // one per line of hello.jobs
  std::vector<Digest> want;     // object_info and lists of models that the gateway lacks
  Settings settings;
  bool operator==(const Welcome&) const = default;
};
struct Lease {
  JobId job;
  Epoch epoch;
  std::uint32_t slot = 0;
  Key128 run_id;  // ComfyUI's prompt_id for this epoch, written as a UUID
  PromptRef prompt;
  std::vector<InputRef> inputs;
  std::uint64_t limit_ms = 0;  // wall-clock limit from execution_start; 0 = none
  std::string preview_method;  // ComfyUI's extra_data.preview_method; "" = leave as it is
  bool operator==(const Lease&) const = default;
};
/// What the slot will probably run next. Binds nothing; a later hint takes the place of an earlier one.
struct Hint {
  std::uint32_t slot = 0;
  JobId job;    // 0 = nothing
  Epoch epoch;  // the epoch under which its inputs may be fetched
  std::vector<InputRef> inputs;
  bool operator==(const Hint&) const = default;
};
struct Stop {
  JobId job;
  Epoch epoch;
  std::string reason;
  bool operator==(const Stop&) const = default;
};
struct Committed {
  JobId job;
  Epoch epoch;
  std::string node;
  std::vector<std::string> names;  // as given, in the order of Commit.files
  bool operator==(const Committed&) const = default;
};
struct Refused {
  JobId job;
  Epoch epoch;
  std::string node;
  RefuseReason reason = RefuseReason::stale;
  bool operator==(const Refused&) const = default;
};
struct EndedOk {
  JobId job;
  Epoch epoch;
  bool operator==(const EndedOk&) const = default;
};
struct Drain {
  bool operator==(const Drain&) const = default;
};
struct Undrain {
  bool operator==(const Undrain&) const = default;
};
struct Pause {
  bool paused = true;
  bool operator==(const Pause&) const = default;
};
struct RestartEngine {
  std::uint32_t slot = 0;
  bool operator==(const RestartEngine&) const = default;
};
/// Unload models and free memory when the slot is idle.
struct Free {
  std::uint32_t slot = 0;
  bool operator==(const Free&) const = default;
};
/// Another ComfyUI on the worker's machine becomes a slot: the one that listens on `port`, or, if the agent
/// launches them, one more that it starts. 0: the port after the highest. Answered by `slots`.
struct AddSlot {
  std::uint32_t port = 0;
  bool operator==(const AddSlot&) const = default;
};
/// Finish what runs there, take no more, then let go of this ComfyUI (end it, if the agent started it).
struct RemoveSlot {
  std::uint32_t slot = 0;
  bool operator==(const RemoveSlot&) const = default;
};
/// Connect to the slot's ComfyUI, open a WebSocket to /worker/tunnel/<tunnel>, and copy bytes both ways.
struct OpenTunnel {
  Key128 tunnel;  // for one use
  std::uint32_t slot = 0;
  bool operator==(const OpenTunnel&) const = default;
};
struct Models {
  std::vector<Digest> want, pin, drop;
  bool operator==(const Models&) const = default;
};
struct SettingsChanged {
  Settings settings;
  bool operator==(const SettingsChanged&) const = default;
};

using GatewayMessage =
    std::variant<Welcome, Lease, Hint, Stop, Committed, Refused, EndedOk, Drain, Undrain, Pause,
                 RestartEngine, Free, AddSlot, RemoveSlot, OpenTunnel, Models, SettingsChanged>;

/// Enumerators as they stand on the wire.
[[nodiscard]] std::string_view to_string(EngineState value);
[[nodiscard]] std::string_view to_string(JobState value);
[[nodiscard]] std::string_view to_string(Outcome value);
[[nodiscard]] std::string_view to_string(Verdict value);
[[nodiscard]] std::string_view to_string(FileType value);
[[nodiscard]] std::string_view to_string(ReturnReason value);
[[nodiscard]] std::string_view to_string(EndCause value);
[[nodiscard]] std::string_view to_string(RefuseReason value);

}  // namespace atelier::link
