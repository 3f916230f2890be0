// SPDX-License-Identifier: MIT
#pragma once
// What a schedule is worth: the fields of atelier-sched-report/1.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "simulate/schedule.hpp"

namespace atelier::simulate {

/// How good the etas were; shares and relative errors.
struct EtaReport {
  std::size_t count = 0;
  double mdape = 0, below_p50 = 0, inside = 0, below_p90 = 0, width_median = 0;
  std::optional<double> mdape_over_60s;
};

/// Milliseconds, unless the name says otherwise. A mean is rounded to the nearest whole number, a quantile q
/// of n values is the ceil(q n)-th smallest; only committed runs count where nothing else is said.
struct Report {
  std::vector<std::string> errors;  // why the schedule is impossible; empty: it is valid
  std::size_t jobs = 0, jobs_committed = 0, jobs_lost = 0, jobs_run_twice = 0, runs = 0, reruns = 0;
  std::int64_t makespan = 0;
  std::int64_t gpu_work = 0, gpu_load = 0, gpu_lost = 0, gpu_idle_while_waiting = 0;
  double gpu_busy_fraction = 0;
  std::size_t model_loads = 0;
  std::int64_t turnaround_mean = 0, wait_mean = 0, wait_p50 = 0, wait_p95 = 0, wait_max = 0;
  std::int64_t wait_image_mean = 0, wait_video_mean = 0;
  double slowdown_median = 0, slowdown_p95 = 0, slowdown_max = 0;  // over participants
  std::int64_t service_lag_max = 0, service_lag_p95 = 0;
  std::uint64_t service_lag_participant = 0;
  std::int64_t lateness_mean = 0, lateness_p95 = 0, lateness_max = 0;
  std::size_t jain_windows = 0;
  double jain_mean = 0, jain_p5 = 0, jain_min = 0;
  std::size_t affinity_places_max = 0, affinity_delay_over_60s = 0, affinity_jobs_passed = 0,
              affinity_overtakes = 0;
  std::int64_t affinity_delay_max = 0;
  std::optional<EtaReport> etas;
};

[[nodiscard]] Report make_report(const Trace& trace, const Schedule& schedule);
/// One JSON object.
[[nodiscard]] std::string print_report(const Report& report, const Schedule& schedule);

}  // namespace atelier::simulate
