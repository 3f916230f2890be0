// SPDX-License-Identifier: MIT
#pragma once
// A copy of the queue in flat rows: what a forecast needs to know of the present, to be taken to another
// thread (core.md 9: 40 bytes per job). Plain data.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/core.hpp"

namespace atelier::core {

/// Why no worker takes jobs that need something, however long they wait: what is over soonest.
enum class Obstacle : std::uint8_t {
  none,
  no_worker,      // none is connected
  pinned_away,    // the worker that was chosen for them is not connected
  engine_away,    // the ComfyUI of those that can run them starts
  worker_paused,  // those that can run them are
  worker_drains,  // and
  missing_node,   // no connected one has the node `missing`
  missing_model,  // or the model
  missing_tag,    // or is one of those with this tag
};

struct QueueCopy {
  /// Jobs that need the same.
  struct Kind {
    Obstacle obstacle = Obstacle::none;
    WorkerId worker;            // the first of those that can run them; the nearest, if others have `missing`
    std::uint32_t workers = 0;  // how many they are
    std::string missing;
  };
  /// A worker that is known and takes no jobs.
  struct Away {
    WorkerId worker;
    Obstacle why = Obstacle::none;  // pinned_away: it is not connected
  };
  /// Jobs that need the same and are expected to take equally long.
  struct Class {
    std::uint32_t kind = 0;                 // row of `able`
    std::uint32_t models = 0;               // the set of models that they need
    std::uint32_t first_run = 0, runs = 0;  // of run_ms: how long such jobs have taken, at speed 1000
    std::int64_t expected_ms = 0, load_ms = 0;
  };
  struct Slot {
    SlotId slot;
    std::uint32_t speed_milli = 1000;
    std::uint32_t models = 0;      // the set that it holds, or will hold after its job
    JobId job;                     // that it runs, or none
    std::uint32_t job_class = 0;   // of it
    std::uint32_t owner = 0;       // of it
    bool loads = false;            // the job's load lies in its time
    std::int64_t elapsed_ms = 0;   // of the job
    std::int64_t charge_ms = 0;    // of the job: what decide expects it to take
    std::int64_t idle_for_ms = 0;  // without one
    std::int64_t away_ms = 0;      // not usable before that
    bool leaves = false;           // takes no job after this one: able to run none
  };
  struct Owner {
    ParticipantId participant;
    std::uint32_t weight_milli = 1000, running = 0, running_max = 0;
    std::int64_t tag = 0;          // the next start tag
    std::int64_t gpu_left_ms = 0;  // of the allowance
    std::uint64_t used_ms = 0;     // what is charged for running jobs included
    bool limited = false;          // there is one
    bool held = false;
  };
  struct Lane {
    std::uint32_t owner = 0, first = 0, count = 0;  // of rows, in the lane's order
    PriorityLevel level = PriorityLevel::instructor;
  };
  struct Row {
    JobId job, place;  // its place in the common order of fifo and priority
    std::uint32_t job_class = 0;
    std::uint32_t places = 0;                   // how often affinity let another go first
    std::int64_t waited_ms = 0, queued_ms = 0;  // since it was submitted, since it waits again
    std::int64_t passed_ms = 0;                 // of delay by affinity
  };
  /// A job that somebody will submit, if the near future mirrors the near past.
  struct Arrival {
    std::int64_t in_ms = 0;
    std::uint32_t lane = 0, job_class = 0;
  };

  Time now;
  QueueMode mode = QueueMode::fifo;
  bool paused = false;
  bool usable = true;  // false: no worker takes jobs; all that are known count as if they came back soon
  Affinity affinity;
  std::int64_t virtual_time = 0;
  JobId newest;  // that had been submitted when the copy began
  std::vector<Class> classes;
  std::vector<std::uint32_t> run_ms;
  std::vector<Kind> kinds;
  std::vector<Away> away;  // by worker
  std::size_t model_sets = 0;
  std::vector<std::uint8_t> able;   // kinds x slots
  std::vector<std::uint8_t> holds;  // held set x wanted set: the wanted one is part of it
  std::vector<Slot> slots;
  std::vector<Owner> owners;
  std::vector<Lane> lanes;
  std::vector<Row> rows;
  std::vector<std::uint32_t> moved;       // rows, in the instructor's order
  std::vector<std::uint8_t> moved_along;  // of each of them: it only stood before one that was moved
  std::vector<Arrival> arrivals;          // by time
};

/// Makes a copy piece by piece, so that a long queue holds nobody up. What happens between two pieces may be
/// in it or not: a job that starts then may be there as waiting, too; one that changes its place, or comes
/// back, may be there twice or not at all. Core outlives it; one thread.
class QueueCopier {
 public:
  QueueCopier(const Core& core, Time now, const Affinity& affinity, const PolicySettings& settings);
  ~QueueCopier();
  /// Copies up to `rows` more waiting jobs. False: that were all. After a change of the mode it begins anew,
  /// and copies all at once.
  [[nodiscard]] bool more(std::size_t rows);
  /// Once, after more() was false.
  [[nodiscard]] QueueCopy finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::core
