// SPDX-License-Identifier: MIT
#pragma once
// Facts: the half of State that is frozen in meaning, goes into checkpoints and is byte-equal in all replicas
// (core.md 1). Each record is a checkpoint event of a kind of its own, written by the journal's one codec.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/types/events.hpp"

namespace atelier::core {

/// Counters and settings of the workshop. One record.
struct WorkshopFacts {
  static constexpr std::uint16_t kKind = 200;
  static constexpr std::uint8_t kVersion = 2;
  Key128 workshop;
  QueueMode mode = QueueMode::fifo;
  bool paused = false;
  std::uint64_t virtual_time = 0;  // of the GPU-second ledger (core.md 2)
  std::uint64_t last_job = 0, last_worker = 0, last_gateway = 0;
  Sequence last_sequence;
  Time last_time;
  WallTime last_wall;
  std::vector<JobId> moved;            // the instructor's ordered list
  std::vector<std::string> timetable;  // "date entry" of lines that fell due, newest last, <= 256
  std::uint64_t succeeded = 0, failed = 0, cancelled = 0;  // ended jobs
  std::vector<JobId> moved_along;  // of `moved`: not moved themselves, they stood before one that was
  bool everyone_held = false;
  ATELIER_FIELDS(WorkshopFacts, workshop, mode, paused, virtual_time, last_job, last_worker, last_gateway,
                 last_sequence, last_time, last_wall, moved, timetable, succeeded, failed, cancelled,
                 moved_along, everyone_held);
};

struct ParticipantFacts {
  static constexpr std::uint16_t kKind = 201;
  static constexpr std::uint8_t kVersion = 2;
  ParticipantId participant;
  std::uint64_t used_ms = 0, tag = 0, floor = 0;
  bool held = false;
  std::uint32_t waiting_max = 0, running_max = 0, weight_milli = 1000;
  std::uint64_t allowance_ms = 0;
  PriorityLevel priority = PriorityLevel::normal;
  std::string pinned_worker;  // since version 2: of the jobs that they submit, or empty
  ATELIER_FIELDS(ParticipantFacts, participant, used_ms, tag, floor, held, waiting_max, running_max,
                 weight_milli, allowance_ms, priority, pinned_worker);
};

/// The right of a slot to one epoch of a job; lives until ended, returned or expired.
struct LeaseFacts {
  SlotId slot;
  LinkId link;
  Epoch epoch;
  Time since;
  std::uint64_t charge_ms = 0, start_tag = 0;
  bool loads = false;
  bool started = false;
  bool computed = false;
  Time started_at;
  WallTime started_wall;
  ATELIER_FIELDS(LeaseFacts, slot, link, epoch, since, charge_ms, start_tag, loads, started, computed,
                 started_at, started_wall);
};

/// A node's commit, while its job lives: what a repeated commit is answered with.
struct NodeCommit {
  std::string node;
  Epoch epoch;
  Attachment ui;  // as the agent sent it, until linked; then with the names given
  bool linked = false;
  std::vector<std::string> names;  // of the files, in their order in Committed
  OutputSummary summary;           // once linked
  ATELIER_FIELDS(NodeCommit, node, epoch, ui, linked, names, summary);
};

/// A job that has not ended.
struct JobFacts {
  static constexpr std::uint16_t kKind = 202;
  static constexpr std::uint8_t kVersion = 2;
  JobId job;
  Submitted submitted;
  double number = 0;  // ComfyUI's
  Time submitted_at, queued_since;
  WallTime submitted_wall;
  JobState state = JobState::queued;
  Epoch epoch;  // of the last grant
  std::optional<LeaseFacts> lease;
  std::uint32_t deaths = 0;  // of its worker or engine while it ran
  std::uint32_t losses = 0;  // expired links, evictions, returns
  bool at_head = false;      // was leased before: goes before its owner's fresh jobs
  bool held = false;
  std::optional<Time> cancel_requested, cancel_at;
  std::uint32_t passed_places = 0;   // how often affinity let another go first
  std::uint64_t passed_ms = 0;       // closed delay stretches
  std::optional<Time> passed_since;  // the open one
  std::vector<NodeCommit> commits;   // <= 5,000
  JobId place;                       // since version 2, with the next; none: its own id
  std::uint64_t paid_ms = 0;         // GPU time of the present lease, once it is computed
  ATELIER_FIELDS(JobFacts, job, submitted, number, submitted_at, queued_since, submitted_wall, state, epoch,
                 lease, deaths, losses, at_head, held, cancel_requested, cancel_at, passed_places, passed_ms,
                 passed_since, commits, place, paid_ms);
  /// In the common order of fifo and priority. Who starts takes its lane's first place; whose that was gets
  /// this one for it: nobody's places become more by who goes first among their own jobs (core.md 4).
  [[nodiscard]] JobId common_place() const { return place ? place : job; }
};

struct SlotFacts {
  std::uint32_t index = 0;
  SlotState state = SlotState::idle;
  JobId job;  // busy or stopping with
  Epoch epoch;
  Digest capability;
  std::string engine_version, kind;
  std::uint64_t vram_mib = 0, engine_start = 0;
  Time idle_since;
  std::vector<std::string> holds;  // model references since the engine's start, newest last, <= 64
  ATELIER_FIELDS(SlotFacts, index, state, job, epoch, capability, engine_version, kind, vram_mib,
                 engine_start, idle_since, holds);
};

struct WorkerFacts {
  static constexpr std::uint16_t kKind = 203;
  static constexpr std::uint8_t kVersion = 2;
  WorkerId worker;
  std::string name;
  LinkId link;        // the present one; 0 = not connected
  GatewayId gateway;  // that holds the link
  Key128 boot;
  bool draining = false, paused = false;
  std::vector<std::string> tags;
  std::vector<SlotFacts> slots;
  std::uint32_t speed_milli = 1000;
  ATELIER_FIELDS(WorkerFacts, worker, name, link, gateway, boot, draining, paused, tags, slots, speed_milli);
};

struct CapabilityFacts {
  static constexpr std::uint16_t kKind = 204;
  static constexpr std::uint8_t kVersion = 2;
  Capability capability;
  Sequence used;  // last entry that named it: the oldest goes first
  ATELIER_FIELDS(CapabilityFacts, capability, used);
};

/// A commit whose names are not known to stand in the participant's folder yet. Outlives the job.
struct UnlinkedCommit {
  static constexpr std::uint16_t kKind = 205;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  ParticipantId participant;
  std::string node;
  Attachment ui;
  std::vector<CommittedFile> files;
  std::vector<std::string> names;
  ATELIER_FIELDS(UnlinkedCommit, job, participant, node, ui, files, names);
};

/// The highest number given for a stem in a participant's folder; the last 256 per participant are kept.
struct NameCounter {
  static constexpr std::uint16_t kKind = 206;
  static constexpr std::uint8_t kVersion = 1;
  ParticipantId participant;
  OutputType type = OutputType::output;
  std::string folder, stem;  // with `numbered` false: stem + rest
  bool numbered = true;
  std::int64_t last = 0;
  Sequence used;
  ATELIER_FIELDS(NameCounter, participant, type, folder, stem, numbered, last, used);
};

/// One recorded run: what estimates are made from. Ring of 32 per signature and worker kind, 4,096
/// signatures.
struct RunSample {
  std::string worker_kind;
  bool loaded = false;
  std::uint64_t gpu_ms = 0;
  ATELIER_FIELDS(RunSample, worker_kind, loaded, gpu_ms);
};
struct RunHistory {
  static constexpr std::uint16_t kKind = 207;
  static constexpr std::uint8_t kVersion = 1;
  std::uint64_t signature = 0;
  Sequence used;
  std::vector<RunSample> runs;  // oldest first, <= 32
  ATELIER_FIELDS(RunHistory, signature, used, runs);
};

struct GatewayFacts {
  static constexpr std::uint16_t kKind = 208;
  static constexpr std::uint8_t kVersion = 1;
  GatewayId gateway;
  Key128 boot;
  ATELIER_FIELDS(GatewayFacts, gateway, boot);
};

/// One ended job in history (workshop/history): every field of /api/jobs; the full item is in the
/// attachments.
struct HistoryNode {
  std::string node;
  Attachment ui;
  OutputSummary summary;
  ATELIER_FIELDS(HistoryNode, node, ui, summary);
};
struct Summary {
  static constexpr std::uint16_t kKind = 209;
  static constexpr std::uint8_t kVersion = 1;
  JobId job;
  ParticipantId participant;
  std::string prompt_id, client_id, workflow_id;
  double number = 0;
  Outcome outcome = Outcome::succeeded;
  EndReason reason = EndReason::finished;
  std::string sentence;
  WallTime created, started, ended;  // started 0: it never ran
  Time ended_at;
  Digest body;
  Attachment prompt, report;
  std::vector<HistoryNode> nodes;
  ATELIER_FIELDS(Summary, job, participant, prompt_id, client_id, workflow_id, number, outcome, reason,
                 sentence, created, started, ended, ended_at, body, prompt, report, nodes);
};

/// A refused use of an enrolment's token: an alarm.
struct EnrolmentMisuse {
  EnrolmentVerdict verdict = EnrolmentVerdict::used;
  std::string worker;  // as who it was shown
  WallTime wall;
  ATELIER_FIELDS(EnrolmentMisuse, verdict, worker, wall);
};
struct EnrolmentFacts {
  static constexpr std::uint16_t kKind = 210;
  static constexpr std::uint8_t kVersion = 1;
  EnrolmentId enrolment;
  Digest token;
  std::string worker;  // the one name that it is good for, or empty
  std::string by;
  Time expires;
  WallTime made_wall, expires_wall;
  EnrolmentState state = EnrolmentState::open;
  std::string used_by, public_key;       // of the worker that used it
  WallTime over_wall;                    // when it was used or revoked
  std::vector<EnrolmentMisuse> misuses;  // of each verdict one
  ATELIER_FIELDS(EnrolmentFacts, enrolment, token, worker, by, expires, made_wall, expires_wall, state,
                 used_by, public_key, over_wall, misuses);
};

/// The key pinned to a worker's name; a revoked one is known until another takes its place.
struct WorkerKeyFacts {
  static constexpr std::uint16_t kKind = 211;
  static constexpr std::uint8_t kVersion = 1;
  std::string worker;
  std::string public_key;  // Ed25519, 64 hex digits
  EnrolmentId enrolment;
  WallTime pinned_wall;
  bool revoked = false;
  WallTime revoked_wall;
  ATELIER_FIELDS(WorkerKeyFacts, worker, public_key, enrolment, pinned_wall, revoked, revoked_wall);
};

/// What a checkpoint is made of.
using CheckpointRecord =
    std::variant<WorkshopFacts, ParticipantFacts, JobFacts, WorkerFacts, CapabilityFacts, UnlinkedCommit,
                 NameCounter, RunHistory, GatewayFacts, Summary, EnrolmentFacts, WorkerKeyFacts>;

}  // namespace atelier::core
