// SPDX-License-Identifier: MIT
#pragma once
// Events: facts, what the journal stores and `apply` takes (core.md). Their meaning for a given version never
// changes; a new field is added at the end with a higher kVersion; a kind's number is never used again.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "core/types/fields.hpp"
#include "core/types/vocabulary.hpp"

namespace atelier::core {

/// Opaque bytes that the journal stores in the same transaction as the event which names them.
struct Attachment {
  Key128 id;
  Digest digest;
  std::uint64_t bytes = 0;
  explicit operator bool() const { return static_cast<bool>(id); }
  ATELIER_FIELDS(Attachment, id, digest, bytes);
};

// ---- jobs
// ---------------------------------------------------------------------------------------------------------

/// A prompt was accepted. `prompt` is the accepted form (core.md 3): graph after coercion, extra_data without
/// keys, create_time, outputs to execute, node_errors of the answer, pins. `body` is the digest of the raw
/// request body.
struct Submitted {
  static constexpr std::uint16_t kKind = 10;
  static constexpr std::uint8_t kVersion = 1;
  ParticipantId participant;
  std::string prompt_id;  // <= 256 bytes
  std::string client_id;  // <= 256 bytes, may be empty
  double number = 0;      // ComfyUI's, meaningful if `numbered`; else the job id, negated if `front`
  bool numbered = false;
  bool front = false;
  PriorityLevel priority = PriorityLevel::normal;
  Digest body;
  Attachment prompt;
  std::vector<std::string> classes;  // sorted node classes, <= 256
  std::vector<std::string> models;   // sorted model references, <= 64
  std::vector<std::string> tags;     // sorted, <= 16
  std::string pinned_worker;         // a worker's name, or empty
  std::string workflow_id;           // extra_pnginfo.workflow.id, <= 128 bytes
  std::uint64_t signature = 0;       // of the workflow: node classes, models, steps, size, frames
  std::uint32_t input_count = 0;
  std::uint64_t input_bytes = 0;
  ATELIER_FIELDS(Submitted, participant, prompt_id, client_id, number, numbered, front, priority, body,
                 prompt, classes, models, tags, pinned_worker, workflow_id, signature, input_count,
                 input_bytes);
};

/// The job was granted to the slot. `epoch` is one above the job's last. Policy's memory: charge, tag, loads,
/// passed (core.md 1, 2).
struct Leased {
  static constexpr std::uint16_t kKind = 11;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  SlotId slot;
  LinkId link;
  Epoch epoch;
  std::uint64_t charge_ms = 0;
  std::uint64_t start_tag = 0;
  bool loads = false;
  std::vector<JobId> passed;  // waiting jobs that the strict order would have started first, <= 1,024
  ATELIER_FIELDS(Leased, job, slot, link, epoch, charge_ms, start_tag, loads, passed);
};

/// ComfyUI's execution_start came: the job is running.
struct Started {
  static constexpr std::uint16_t kKind = 12;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  Epoch epoch;
  ATELIER_FIELDS(Started, job, epoch);
};

/// The engine is done with the job: the slot is free, outputs may still travel.
struct Computed {
  static constexpr std::uint16_t kKind = 13;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  Epoch epoch;
  std::uint64_t gpu_ms = 0;  // the agent's measure from execution_start to the end
  ATELIER_FIELDS(Computed, job, epoch, gpu_ms);
};

/// One file of a commit. Its name at the engine is stem + '_' + number (>= 5 digits) + rest, or stem + rest
/// without number.
struct CommittedFile {
  std::uint32_t place = 0;  // its place in the node's ui lists, 0 ..
  OutputType type = OutputType::output;
  std::string folder;  // relative, '/' between parts, without the job's own prefix; <= 512 bytes
  std::string stem;    // <= 255 bytes
  bool numbered = true;
  std::uint64_t number = 0;
  std::string rest;           // what follows the number, with the extension; <= 100 bytes
  bool in_job_folder = true;  // lay below atelier/<job>-<epoch>/ at the engine
  std::uint64_t bytes = 0;
  Digest digest;
  std::int64_t seen = -1;  // highest number that the proposer found in the participant's folder; -1 = none.
                           // Without number: -1 = the name is free, 0 = taken, k = taken up to " (k)"
  ATELIER_FIELDS(CommittedFile, place, type, folder, stem, numbered, number, rest, in_job_folder, bytes,
                 digest, seen);
};

/// The outputs of one node are in the blob store. `ui` is the node's ui as the agent sent it.
struct Committed {
  static constexpr std::uint16_t kKind = 14;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  Epoch epoch;
  std::string node;  // <= 256 bytes; empty: files of the job's folder that no ui entry names
  Attachment ui;
  std::vector<CommittedFile> files;  // <= 1,000
  ATELIER_FIELDS(Committed, job, epoch, node, ui, files);
};

/// What /api/jobs shows of a node's outputs, so that history's summary needs no attachment.
struct OutputSummary {
  std::uint32_t outputs = 0;      // outputs_count
  std::uint32_t previewable = 0;  // previewable_outputs_count
  std::uint8_t preview_rank =
      0;                // 0 none, 1 raw text, 2 text file, 3 other visual, 4 saved visual: the highest stands
  std::string preview;  // preview_output as JSON text, <= 8,192 bytes, empty if none
  ATELIER_FIELDS(OutputSummary, outputs, previewable, preview_rank, preview);
};

/// The names of a commit stand in the participant's folder. `ui` is the node's ui with those names.
struct Linked {
  static constexpr std::uint16_t kKind = 15;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  std::string node;
  Attachment ui;
  OutputSummary summary;
  ATELIER_FIELDS(Linked, job, node, ui, summary);
};

/// The job's one end. `epoch` 0: by the workshop, whatever lease it holds.
struct Ended {
  static constexpr std::uint16_t kKind = 16;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  Epoch epoch;
  Outcome outcome = Outcome::succeeded;
  EndReason reason = EndReason::finished;
  std::string sentence;  // for people, <= 500 bytes
  Attachment report;     // the agent's: status messages of history, error; may be absent
  ATELIER_FIELDS(Ended, job, epoch, outcome, reason, sentence, report);
};

struct Returned {
  static constexpr std::uint16_t kKind = 17;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  Epoch epoch;
  ReturnReason reason = ReturnReason::draining;
  ATELIER_FIELDS(Returned, job, epoch, reason);
};

/// `link` must be the present link of the lease's worker (0: none is asked for, after gateway_lost).
struct LeaseExpired {
  static constexpr std::uint16_t kKind = 18;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  Epoch epoch;
  LinkId link;
  LossReason reason = LossReason::link_expired;
  ATELIER_FIELDS(LeaseExpired, job, epoch, link, reason);
};

/// A mark that changes no outcome; decide proposes the end of a waiting job at once, of a leased one after 10
/// s.
struct CancelRequested {
  static constexpr std::uint16_t kKind = 19;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  std::string by;  // "participant", or who
  ATELIER_FIELDS(CancelRequested, job, by);
};
/// Cancel with undo: the job is held until `at`, then decide proposes its end.
struct CancelScheduled {
  static constexpr std::uint16_t kKind = 20;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  Time at;
  std::string by;
  ATELIER_FIELDS(CancelScheduled, job, at, by);
};
struct CancelUndone {
  static constexpr std::uint16_t kKind = 21;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  std::string by;
  ATELIER_FIELDS(CancelUndone, job, by);
};
/// Into the instructor's ordered list, which goes before the computed order. `anchor`, a job of the list, for
/// before and after.
struct Moved {
  static constexpr std::uint16_t kKind = 22;
  static constexpr std::uint8_t kVersion = 2;
  JobId job;
  MovePlace place = MovePlace::first;
  JobId anchor;
  std::string by;
  /// Since version 2: waiting jobs that stood before its new place; those that are not in the list yet enter
  /// it first, at its end and in this order, and leave it when no job that was moved stands behind them.
  std::vector<JobId> ahead;
  ATELIER_FIELDS(Moved, job, place, anchor, by, ahead);
};
struct MoveUndone {
  static constexpr std::uint16_t kKind = 23;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  std::string by;
  ATELIER_FIELDS(MoveUndone, job, by);
};
struct JobHeld {
  static constexpr std::uint16_t kKind = 24;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  std::string by;
  ATELIER_FIELDS(JobHeld, job, by);
};
struct JobReleased {
  static constexpr std::uint16_t kKind = 25;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  std::string by;
  ATELIER_FIELDS(JobReleased, job, by);
};
struct JobChanged {
  static constexpr std::uint16_t kKind = 26;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  PriorityLevel priority = PriorityLevel::normal;
  std::string pinned_worker;
  std::vector<std::string> tags;
  std::string by;
  ATELIER_FIELDS(JobChanged, job, priority, pinned_worker, tags, by);
};

/// To another place among its owner's jobs: the number and the flag that their order is made of.
struct JobReordered {
  static constexpr std::uint16_t kKind = 27;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  double number = 0;
  bool at_head = false;
  std::string by;
  ATELIER_FIELDS(JobReordered, job, number, at_head, by);
};

// ---- participants and the workshop
// --------------------------------------------------------------------------------

struct ParticipantHeld {
  static constexpr std::uint16_t kKind = 30;
  static constexpr std::uint8_t kVersion = 1;
  ParticipantId participant;
  bool held = true;
  std::string by;
  ATELIER_FIELDS(ParticipantHeld, participant, held, by);
};
/// 0 = no cap, no allowance; weight in thousandths (1,000 = 1).
struct ParticipantLimits {
  static constexpr std::uint16_t kKind = 31;
  static constexpr std::uint8_t kVersion = 2;
  ParticipantId participant;
  std::uint32_t waiting_max = 0, running_max = 0, weight_milli = 1000;
  std::uint64_t allowance_ms = 0;
  PriorityLevel priority = PriorityLevel::normal;
  std::string by;
  /// Since version 2: the worker of the jobs that they submit from now on, or empty.
  std::string pinned_worker;
  ATELIER_FIELDS(ParticipantLimits, participant, waiting_max, running_max, weight_milli, allowance_ms,
                 priority, by, pinned_worker);
};
struct ModeChanged {
  static constexpr std::uint16_t kKind = 40;
  static constexpr std::uint8_t kVersion = 1;
  QueueMode mode = QueueMode::fifo;
  std::string by;
  ATELIER_FIELDS(ModeChanged, mode, by);
};
/// Running jobs go on, no new ones start.
struct Paused {
  static constexpr std::uint16_t kKind = 41;
  static constexpr std::uint8_t kVersion = 1;
  bool paused = true;
  std::string by;
  ATELIER_FIELDS(Paused, paused, by);
};
/// The first event of a journal.
struct WorkshopOpened {
  static constexpr std::uint16_t kKind = 42;
  static constexpr std::uint8_t kVersion = 1;
  Key128 workshop;
  std::string release;  // of the program, for `journal dump`
  ATELIER_FIELDS(WorkshopOpened, workshop, release);
};
/// A line of the day's plan fell due; idempotent by (entry, date).
struct TimetableDue {
  static constexpr std::uint16_t kKind = 43;
  static constexpr std::uint8_t kVersion = 1;
  std::string entry;
  std::string date;
  ATELIER_FIELDS(TimetableDue, entry, date);
};
/// Jobs of all participants wait, those of who comes later, too; the instructor's own go on.
struct EveryoneHeld {
  static constexpr std::uint16_t kKind = 44;
  static constexpr std::uint8_t kVersion = 1;
  bool held = true;
  std::string by;
  ATELIER_FIELDS(EveryoneHeld, held, by);
};

// ---- workers
// ------------------------------------------------------------------------------------------------------

struct JoinedSlot {
  std::uint32_t index = 0;
  Digest capability;  // of a Capability event, or none
  std::string engine_version;
  std::string kind;  // worker kind for estimates, e.g. the GPU's name
  std::uint64_t vram_mib = 0;
  std::uint64_t engine_start = 0;  // changes when the engine restarts: what it held is gone
  bool engine_alive = true;
  bool empty = true;  // the agent runs nothing on it
  ATELIER_FIELDS(JoinedSlot, index, capability, engine_version, kind, vram_mib, engine_start, engine_alive,
                 empty);
};
/// A worker's connection, a link, opens; its number is this entry's sequence. `boot` is random, made at the
/// agent's start.
struct WorkerJoined {
  static constexpr std::uint16_t kKind = 50;
  static constexpr std::uint8_t kVersion = 2;
  std::string name;  // unique in the workshop, <= 64 bytes
  GatewayId gateway;
  Key128 boot;
  std::vector<JoinedSlot> slots;  // <= 64
  std::vector<std::string> tags;  // sorted, <= 16
  bool draining = false;
  std::uint32_t speed_milli = 1000;  // of its slots, in thousandths of the workshop's reference GPU
  ATELIER_FIELDS(WorkerJoined, name, gateway, boot, slots, tags, draining, speed_milli);
};
/// The link is gone. Leases live on until they expire or the worker is back.
struct WorkerLeft {
  static constexpr std::uint16_t kKind = 51;
  static constexpr std::uint8_t kVersion = 1;
  WorkerId worker;
  LinkId link;
  std::string reason;
  ATELIER_FIELDS(WorkerLeft, worker, link, reason);
};
struct SlotIdle {
  static constexpr std::uint16_t kKind = 52;
  static constexpr std::uint8_t kVersion = 1;
  SlotId slot;
  LinkId link;
  ATELIER_FIELDS(SlotIdle, slot, link);
};
struct SlotsChanged {
  static constexpr std::uint16_t kKind = 53;
  static constexpr std::uint8_t kVersion = 1;
  WorkerId worker;
  LinkId link;
  std::vector<JoinedSlot> added;
  std::vector<std::uint32_t> removed;
  ATELIER_FIELDS(SlotsChanged, worker, link, added, removed);
};
struct EngineLost {
  static constexpr std::uint16_t kKind = 54;
  static constexpr std::uint8_t kVersion = 1;
  SlotId slot;
  LinkId link;
  ATELIER_FIELDS(EngineLost, slot, link);
};
struct EngineReady {
  static constexpr std::uint16_t kKind = 55;
  static constexpr std::uint8_t kVersion = 2;
  SlotId slot;
  LinkId link;
  Digest capability;
  std::string engine_version;
  std::uint64_t engine_start = 0;
  std::string kind;  // since version 2, with the next: of the GPU; not known before its ComfyUI answers
  std::uint64_t vram_mib = 0;
  ATELIER_FIELDS(EngineReady, slot, link, capability, engine_version, engine_start, kind, vram_mib);
};
/// What an engine can run; written once per hash, at most 64 are kept.
struct Capability {
  static constexpr std::uint16_t kKind = 56;
  static constexpr std::uint8_t kVersion = 2;
  Digest hash;
  std::vector<std::string> classes;  // sorted
  std::vector<std::string> models;   // sorted
  /// Since version 2: how large each of `models` is, in their order, 0 if nobody knows; or empty,
  /// if the worker did not tell any.
  std::vector<std::uint64_t> model_bytes;
  ATELIER_FIELDS(Capability, hash, classes, models, model_bytes);
};
struct WorkerDraining {
  static constexpr std::uint16_t kKind = 57;
  static constexpr std::uint8_t kVersion = 1;
  WorkerId worker;
  bool draining = true;
  std::string reason;
  ATELIER_FIELDS(WorkerDraining, worker, draining, reason);
};
struct WorkerPaused {
  static constexpr std::uint16_t kKind = 58;
  static constexpr std::uint8_t kVersion = 1;
  WorkerId worker;
  bool paused = true;
  std::string by;
  ATELIER_FIELDS(WorkerPaused, worker, paused, by);
};
struct WorkerTags {
  static constexpr std::uint16_t kKind = 59;
  static constexpr std::uint8_t kVersion = 1;
  WorkerId worker;
  std::vector<std::string> tags;
  ATELIER_FIELDS(WorkerTags, worker, tags);
};

// ---- enrolments: how a worker's key comes to be known
// -------------------------------------------------------------

/// Whoever shows the token may have one key pinned to one worker's name, once, for `lifetime_ms` from now.
struct EnrolmentMade {
  static constexpr std::uint16_t kKind = 60;
  static constexpr std::uint8_t kVersion = 1;
  Digest token;                   // SHA-256; the token itself is nowhere
  std::string worker;             // the one name that it is good for, or empty
  std::uint64_t lifetime_ms = 0;  // 1 .. 86,400,000
  std::string by;
  ATELIER_FIELDS(EnrolmentMade, token, worker, lifetime_ms, by);
};
/// The worker's key is pinned to its name. The first in the journal stands.
struct EnrolmentUsed {
  static constexpr std::uint16_t kKind = 61;
  static constexpr std::uint8_t kVersion = 1;
  EnrolmentId enrolment;
  std::string worker;      // <= 64 bytes
  std::string public_key;  // Ed25519, 64 hex digits
  ATELIER_FIELDS(EnrolmentUsed, enrolment, worker, public_key);
};
/// Before it was used.
struct EnrolmentRevoked {
  static constexpr std::uint16_t kKind = 62;
  static constexpr std::uint8_t kVersion = 1;
  EnrolmentId enrolment;
  std::string by;
  ATELIER_FIELDS(EnrolmentRevoked, enrolment, by);
};
/// Its token was shown and refused: an alarm. Of each verdict the first is kept.
struct EnrolmentMisused {
  static constexpr std::uint16_t kKind = 63;
  static constexpr std::uint8_t kVersion = 1;
  EnrolmentId enrolment;
  EnrolmentVerdict verdict = EnrolmentVerdict::used;
  std::string worker;  // as who it was shown
  ATELIER_FIELDS(EnrolmentMisused, enrolment, verdict, worker);
};
/// The key that is pinned to this worker's name is void: the name is free for another enrolment.
struct WorkerKeyRevoked {
  static constexpr std::uint16_t kKind = 64;
  static constexpr std::uint8_t kVersion = 1;
  std::string worker;
  std::string by;
  ATELIER_FIELDS(WorkerKeyRevoked, worker, by);
};

// ---- gateways, history
// --------------------------------------------------------------------------------------------

/// A serve process begins to write. With a journal of one writer (SQLite) `alone` is set: earlier ones are
/// gone.
struct GatewayJoined {
  static constexpr std::uint16_t kKind = 70;
  static constexpr std::uint8_t kVersion = 1;
  Key128 boot;
  bool alone = true;
  std::string release;
  ATELIER_FIELDS(GatewayJoined, boot, alone, release);
};
struct GatewayLost {
  static constexpr std::uint16_t kKind = 71;
  static constexpr std::uint8_t kVersion = 1;
  GatewayId gateway;
  ATELIER_FIELDS(GatewayLost, gateway);
};
/// `jobs` empty: all ended jobs of the participant.
struct HistoryForgotten {
  static constexpr std::uint16_t kKind = 80;
  static constexpr std::uint8_t kVersion = 1;
  ParticipantId participant;
  std::vector<JobId> jobs;
  ATELIER_FIELDS(HistoryForgotten, participant, jobs);
};

using Event =
    std::variant<Submitted, Leased, Started, Computed, Committed, Linked, Ended, Returned, LeaseExpired,
                 CancelRequested, CancelScheduled, CancelUndone, Moved, MoveUndone, JobHeld, JobReleased,
                 JobChanged, JobReordered, ParticipantHeld, ParticipantLimits, ModeChanged, Paused,
                 WorkshopOpened, TimetableDue, EveryoneHeld, WorkerJoined, WorkerLeft, SlotIdle, SlotsChanged,
                 EngineLost, EngineReady, Capability, WorkerDraining, WorkerPaused, WorkerTags, GatewayJoined,
                 GatewayLost, HistoryForgotten, EnrolmentMade, EnrolmentUsed, EnrolmentRevoked,
                 EnrolmentMisused, WorkerKeyRevoked>;

/// Who proposed an entry: `ticket` is that gateway's own number for the caller who waits for the answer (0 =
/// nobody).
struct Origin {
  GatewayId gateway;
  std::uint64_t ticket = 0;
  ATELIER_FIELDS(Origin, gateway, ticket);
};

/// An event as recorded. `time` never goes back from entry to entry; `wall` is for display.
struct Entry {
  Sequence sequence;
  Time time;
  WallTime wall;
  Origin origin;
  Event event;
};

/// The stable snake_case name of an event's kind ("submitted"), for `journal dump` and logs.
[[nodiscard]] std::string_view kind_name(const Event& event);

}  // namespace atelier::core
