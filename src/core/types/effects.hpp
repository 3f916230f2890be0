// SPDX-License-Identifier: MIT
#pragma once
// Effects: what follows from an applied event. Faces turn them into messages; they decide nothing (design.md
// 3).

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/types/facts.hpp"

namespace atelier::core {

/// The entry changed the state as its proposer wanted. For `submitted`, `job` is the new job's id;
/// for `worker_joined`, `link` is the new link and `same_boot` says whether its agent has been running since
/// the last one; for `gateway_joined`, `gateway`.
struct Accepted {
  Origin origin;
  JobId job;
  LinkId link;
  WorkerId worker;
  GatewayId gateway;
  bool same_boot = false;
};
/// The entry changed nothing. `rival`: the live job that was in the way, if there is one.
struct Refused {
  Origin origin;
  NoEffect reason = NoEffect::unknown_job;
  JobId rival;
};

enum class QueueCause : std::uint8_t { submitted, returned, lease_lost, released };
/// The job waits (again).
struct JobQueued {
  JobId job;
  ParticipantId participant;
  QueueCause cause = QueueCause::submitted;
};
/// The job does not wait any more though it has not been granted (held), or its cancel mark was set.
struct JobMarked {
  JobId job;
  ParticipantId participant;
};
/// Tell the worker: here is the lease.
struct JobLeased {
  JobId job;
  ParticipantId participant;
  SlotId slot;
  LinkId link;
  Epoch epoch;
};
struct JobStarted {
  JobId job;
  ParticipantId participant;
  Epoch epoch;
};
/// The slot is free for the next job.
struct JobComputed {
  JobId job;
  ParticipantId participant;
  SlotId slot;
  Epoch epoch;
};
/// Names were given; they are to be linked in the participant's folder, then `linked` is proposed. The commit
/// is in State's list of unlinked commits.
struct NodeCommitted {
  JobId job;
  ParticipantId participant;
  Epoch epoch;
  std::string node;
};
/// A commit of a (job, node) that stands already: answered with the names given first.
struct CommitRepeated {
  JobId job;
  Epoch epoch;
  std::string node;
  std::vector<std::string> names;
};
/// The names stand; the browser may be told.
struct NodeLinked {
  JobId job;
  ParticipantId participant;
  std::string node;
  Attachment ui;
  OutputSummary summary;
};
/// The job has ended and left core; `facts` is its last state.
struct JobEnded {
  JobFacts facts;
  Outcome outcome = Outcome::succeeded;
  EndReason reason = EndReason::finished;
  std::string sentence;
  Attachment report;
  WallTime wall;
  Time time;
};
/// Tell the agent to stop this epoch (it answers with `ended` or `slot_idle`). Repeated at hello.
struct StopWanted {
  JobId job;
  Epoch epoch;
  SlotId slot;
  LinkId link;
  std::string reason;
};
/// An older link of this worker is void: who holds its socket drops it with its deadlines.
struct LinkReplaced {
  WorkerId worker;
  LinkId link;
};
/// The lease's clock starts, moves to another link, or is dropped (LeaseTable).
struct LeaseMoved {
  JobId job;
  Epoch epoch;
  LinkId link;
};
struct LeaseDropped {
  JobId job;
  Epoch epoch;
};
struct HistoryDropped {
  ParticipantId participant;
  std::vector<JobId> jobs;  // empty: all
};
/// Mode, pause, holds, limits, workers: something that dashboards show changed.
struct WorkshopChanged {};

/// The job that a busy slot will probably get next. Binds nothing and is not journaled (design.md 5.7).
struct LikelyNext {
  SlotId slot;
  LinkId link;
  JobId job;
  Epoch epoch;  // that the grant would have
};

using Effect = std::variant<Accepted, Refused, JobQueued, JobMarked, JobLeased, JobStarted, JobComputed,
                            NodeCommitted, CommitRepeated, NodeLinked, JobEnded, StopWanted, LinkReplaced,
                            LeaseMoved, LeaseDropped, HistoryDropped, WorkshopChanged>;

}  // namespace atelier::core
