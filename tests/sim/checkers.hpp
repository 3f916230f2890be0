// SPDX-License-Identifier: MIT
#pragma once
// What must hold after every step. The checker reads what the store has recorded, applies it to a core of its
// own, and looks at the effects; it sees every entry once, whatever servers come and go.

#include <map>
#include <set>
#include <string>

#include "core/core.hpp"
#include "journal/memory/memory_store.hpp"
#include "rules.hpp"
#include "world.hpp"

namespace atelier::sim {

class Checker {
 public:
  Checker(World& world, journal::memory::MemoryStore& store, milliseconds job_limit)
      : world_(world), store_(store), rules_(world, reference_, job_limit) {}

  /// Looks at what was recorded since the last call.
  void step();
  /// The server answered 200 for this job (P1): it must be recorded already.
  void acknowledged(JobId job, ParticipantId participant, std::string prompt_id);
  /// The server's own state equals that of a replay, and survives its way through a checkpoint.
  void compare(const core::Core& live) const;
  /// A server has begun with a checkpoint.
  void opened_from_checkpoint() { rules_.opened_from_checkpoint(); }
  [[nodiscard]] bool all_ended() const { return reference_.jobs_live() == 0; }
  [[nodiscard]] std::string open_jobs() const;
  /// At the end: every acknowledged job ended, every committed node's files stand complete below `outputs`
  /// (DATA_DIR/participants).
  void finish(const std::string& participants_folder) const;

  [[nodiscard]] const core::Core& reference() const { return reference_; }
  [[nodiscard]] Sequence seen() const { return seen_; }

 private:
  struct Output {
    ParticipantId participant;
    std::set<Digest> digests;     // of the commit
    std::set<std::string> paths;  // once linked
  };
  void on(const core::Entry& entry, const core::Effect& effect);
  void on_leased(const core::JobLeased& leased);
  void on_committed(const core::NodeCommitted& committed);
  void on_linked(const core::NodeLinked& linked);
  void on_ended(const core::JobEnded& ended);

  World& world_;
  journal::memory::MemoryStore& store_;
  core::Core reference_;
  Rules rules_;
  Sequence seen_;
  std::map<JobId, Epoch> epochs_;                   // the last granted
  std::map<SlotId, std::pair<JobId, Epoch>> busy_;  // leases that hold a slot
  std::map<JobId, SlotId> leased_;
  std::set<JobId> ended_;
  std::map<JobId, std::pair<ParticipantId, std::string>> acknowledged_;
  std::map<std::pair<JobId, std::string>, Output> outputs_;
  std::set<std::pair<ParticipantId, std::string>> given_;  // names that a participant was shown
};

}  // namespace atelier::sim
