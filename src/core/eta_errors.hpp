// SPDX-License-Identifier: MIT
#pragma once
// How wrong forecasts have lately been: what the later end of a range is made from. Kept beside core, not in
// its state: nothing of it is recorded, and a restart begins anew. One thread; EtaSpread any.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "base/ids.hpp"
#include "base/time.hpp"

namespace atelier::core {

/// The recent errors at one instant.
class EtaSpread {
 public:
  /// By how much the middle of a forecast is to be multiplied so that nine jobs in ten are ready by then; at
  /// least 1. Errors of forecasts about as far away count most, then the newer ones.
  [[nodiscard]] double stretch(std::int64_t ready_ms) const;

 private:
  friend class EtaErrors;
  struct Seen {
    double ratio = 1;     // what it took, by what was foretold
    double ready_ms = 0;  // foretold
    double weight = 1;
  };
  std::vector<Seen> seen_;  // by ratio
};

class EtaErrors {
 public:
  /// The job's first forecast: ready `ready_ms` after `made`. Later ones are ignored while it is kept.
  void foretold(JobId job, Time made, std::int64_t ready_ms);
  /// The job is ready. One that was never foretold says nothing.
  void ready(JobId job, Time now);
  /// The job will never be (cancelled).
  void forget(JobId job) { open_.erase(job); }
  /// Looks at up to `most` open forecasts, of this job and later ones, and forgets those of jobs that `stays`
  /// is false for. Gives the job to go on with, or none.
  [[nodiscard]] JobId keep_only(JobId from, std::size_t most, const std::function<bool(JobId)>& stays);
  [[nodiscard]] EtaSpread spread(Time now) const;

 private:
  struct Foretold {
    Time made;
    std::int64_t ready_ms = 0;
  };
  struct Ready {
    Foretold foretold;
    Time at;
  };
  static constexpr std::size_t kReadyKept = 200, kOpenMax = 10'000, kOverdueMax = 400;

  std::map<JobId, Foretold> open_;  // the oldest go first
  std::deque<Ready> ready_;
};

}  // namespace atelier::core
