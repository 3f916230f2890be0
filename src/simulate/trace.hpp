// SPDX-License-Identifier: MIT
#pragma once
// A recording of a workshop: who pressed Run when, and how long the GPU really needed (format
// atelier-trace/1). Times are milliseconds from its start.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "core/types/vocabulary.hpp"

namespace atelier::simulate {

struct TraceWorker {
  std::string name, gpu;
  std::int64_t speed_milli = 1000;  // of the reference GPU
};
/// A worker holds one set; a job of another one first costs load_ms, whatever the worker's speed.
struct ModelSet {
  std::string name;
  std::int64_t load_ms = 0;
  std::uint64_t bytes = 0;  // of its models, 0 if not known
};
/// What a scheduler may see of a workflow.
struct Signature {
  std::string name;
  std::size_t model_set = 0;  // index
  bool video = false;
};
struct Submission {
  std::int64_t time = 0;
  std::uint64_t participant = 0;  // 0: the instructor
  std::size_t signature = 0;      // index
  std::int64_t work_ms = 0;       // on the reference GPU; hidden from the scheduler until the job has ended
  core::PriorityLevel priority = core::PriorityLevel::normal;
};
enum class FaultKind : std::uint8_t { death, comes_back, drain, undrain, partition, heal };
struct Fault {
  std::int64_t time = 0;
  std::size_t worker = 0;  // index
  FaultKind kind = FaultKind::death;
};

struct Trace {
  std::string name;
  std::int64_t lease_ms = 0, jain_window_ms = 0;
  std::uint64_t participants = 0;
  std::vector<TraceWorker> workers;
  std::vector<ModelSet> model_sets;  // by name
  std::vector<Signature> signatures;
  std::vector<Submission> submissions;  // by time; the index is the job
  std::vector<Fault> faults;            // by time

  [[nodiscard]] const ModelSet& set_of(const Submission& submission) const {
    return model_sets[signatures[submission.signature].model_set];
  }
  /// How long the worker computes the job.
  [[nodiscard]] std::int64_t run_ms(std::size_t job, std::size_t worker) const {
    const std::int64_t speed = workers[worker].speed_milli;
    return (submissions[job].work_ms * 1000 + speed - 1) / speed;
  }
};

/// Errors: bad_request, with the place in the file and what is wrong there.
[[nodiscard]] Result<Trace> parse_trace(std::string_view text);

}  // namespace atelier::simulate
