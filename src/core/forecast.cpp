// SPDX-License-Identifier: MIT
#include "core/forecast.hpp"

#include <algorithm>
#include <set>

#include "core/forecast_draw.hpp"

namespace atelier::core {

std::vector<JobForecast> forecast(const QueueCopy& queue, const ForecastOptions& options) {
  std::vector<JobForecast> jobs;
  std::vector<std::uint32_t> rows;  // of the jobs that wait
  std::vector<std::uint32_t> slots;
  std::set<JobId> runs;  // by now, though a copy made in pieces may have it as waiting, too
  bool waits = !options.only;
  for (std::uint32_t i = 0; i < queue.slots.size(); ++i) {
    const JobId job = queue.slots[i].job;
    if (!job || (options.only && job != options.only)) continue;
    slots.push_back(i);
    runs.insert(job);
    jobs.push_back({job, {}});
  }
  for (std::uint32_t i = 0; i < queue.rows.size(); ++i) {
    if (options.only && queue.rows[i].job != options.only) continue;
    if (runs.contains(queue.rows[i].job)) continue;
    waits = true;
    rows.push_back(i);
    jobs.push_back({queue.rows[i].job, {}});
  }
  if (options.only && !waits && slots.empty()) return jobs;
  Draw draw(queue, options.only);
  for (std::uint32_t i = 0; i < options.draws; ++i) {
    draw.run(options.seed * 1'000'003 + i + 1);
    for (std::size_t k = 0; k < slots.size(); ++k) jobs[k].ready_ms.push_back(draw.slot_ready(slots[k]));
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const std::int64_t ready = draw.rows_ready()[rows[k]];
      if (ready < kNever) jobs[slots.size() + k].ready_ms.push_back(ready);
    }
  }
  for (JobForecast& job : jobs) std::ranges::sort(job.ready_ms);
  std::ranges::sort(jobs, {}, &JobForecast::job);
  return jobs;
}

std::vector<ExpectedStart> expected_starts(const QueueCopy& queue) {
  Draw draw(queue, {});
  draw.run(0);
  return draw.started();
}

std::vector<JobId> starting_order(const QueueCopy& queue) {
  std::vector<JobId> order;
  for (const ExpectedStart& start : expected_starts(queue)) order.push_back(queue.rows[start.row].job);
  return order;
}

}  // namespace atelier::core
