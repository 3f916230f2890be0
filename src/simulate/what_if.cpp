// SPDX-License-Identifier: MIT
#include "simulate/what_if.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/forecast.hpp"
#include "simulate/replay.hpp"
#include "simulate/report.hpp"

namespace atelier::simulate {
namespace {

constexpr std::size_t kWorkersMax = 1'000, kMovesMax = 1'000;

/// The copy with this many slots: the busy ones first, then more like the first.
core::QueueCopy with_slots(core::QueueCopy queue, std::size_t count) {
  const std::size_t before = queue.slots.size();
  std::vector<std::size_t> from;
  for (const bool busy : {true, false}) {
    for (std::size_t i = 0; i < before; ++i) {
      if (static_cast<bool>(queue.slots[i].job) == busy && !queue.slots[i].leaves) from.push_back(i);
    }
  }
  from.resize(count, from.front());
  std::vector<core::QueueCopy::Slot> slots;
  std::vector<std::uint8_t> able(queue.kinds.size() * count, 0);
  for (std::size_t i = 0; i < count; ++i) {
    core::QueueCopy::Slot slot = queue.slots[from[i]];
    if (i >= before) {
      slot.job = {};
      slot.elapsed_ms = 0;
    }
    slots.push_back(slot);
    for (std::size_t kind = 0; kind < queue.kinds.size(); ++kind)
      able[kind * count + i] = queue.able[kind * before + from[i]];
  }
  queue.slots = std::move(slots);
  queue.able = std::move(able);
  queue.paused = false;
  queue.usable = true;
  for (core::QueueCopy::Slot& slot : queue.slots) slot.away_ms = 0;
  return queue;
}

std::string day_text(const Recorded& day, std::size_t workers, core::QueueMode mode) {
  Trace trace = day.trace;
  const std::size_t before = trace.workers.size();
  for (std::size_t i = before; i < workers; ++i) {
    trace.workers.push_back(trace.workers[i % before]);
    trace.workers.back().name = fmt::format("slot-{:02}", i + 1);
  }
  trace.workers.resize(workers);
  const Report report =
      make_report(trace, replay(trace, {.mode = mode, .affinity = {}, .etas = false, .measure = false}));
  return fmt::format(
      R"({{"workers":{},"mode":"{}","makespan_ms":{},"turnaround_mean_ms":{},"wait_mean_ms":{},)"
      R"("wait_p95_ms":{},"model_loads":{}}})",
      workers, core::to_string(mode), report.makespan, report.turnaround_mean, report.wait_mean,
      report.wait_p95, report.model_loads);
}

/// "null" without a recorded day.
std::string day_member(const Recorded* day, core::QueueMode mode, const WhatIf& what) {
  if (day == nullptr) return "null";
  const std::size_t workers = day->trace.workers.size();
  return fmt::format(R"({{"jobs":{},"jobs_ended":{},"recorded":{{"makespan_ms":{},"turnaround_mean_ms":{}}},)"
                     "\n"
                     R"("as_it_is":{},)"
                     "\n"
                     R"("what_if":{}}})",
                     day->trace.submissions.size(), day->jobs_ended, day->makespan_ms,
                     day->turnaround_mean_ms, day_text(*day, workers, mode),
                     day_text(*day, what.workers.value_or(workers), what.mode.value_or(mode)));
}

struct Future {
  std::vector<JobId> order;
  std::vector<core::JobForecast> jobs;
  [[nodiscard]] std::int64_t ready_of(JobId job) const {
    const auto found = std::ranges::lower_bound(jobs, job, {}, &core::JobForecast::job);
    return found == jobs.end() || found->job != job || found->ready_ms.empty() ? -1 : found->middle_ms();
  }
  /// When all are ready.
  [[nodiscard]] std::int64_t all_ready() const {
    std::int64_t latest = 0;
    for (const core::JobForecast& job : jobs) latest = std::max(latest, ready_of(job.job));
    return latest;
  }
};

Future foretell(core::QueueCopy queue) {
  queue.arrivals.clear();  // only of those that are there
  return {core::starting_order(queue), core::forecast(queue, {.seed = 1, .draws = 15, .only = {}})};
}

std::string number_or_null(std::int64_t value) { return value < 0 ? "null" : fmt::format("{}", value); }

std::string moves_text(const Future& now, const Future& then, const core::Core& core) {
  std::vector<std::pair<JobId, std::size_t>> places;
  for (std::size_t i = 0; i < then.order.size(); ++i) places.emplace_back(then.order[i], i + 1);
  std::ranges::sort(places);
  std::string text;
  for (std::size_t i = 0; i < std::min(now.order.size(), kMovesMax); ++i) {
    const JobId job = now.order[i];
    const auto place = std::ranges::lower_bound(places, job, {}, &std::pair<JobId, std::size_t>::first);
    const bool there = place != places.end() && place->first == job;
    text += fmt::format(
        R"({}{{"job":{},"participant":{},"place":{},"place_then":{},"ready_ms":{},"ready_then_ms":{}}})",
        text.empty() ? "" : ",\n", job, core.job(job)->submitted.participant, i + 1,
        there ? fmt::format("{}", place->second) : "null", number_or_null(now.ready_of(job)),
        number_or_null(then.ready_of(job)));
  }
  return text;
}

}  // namespace

Result<void> read_what_if(std::string_view text, WhatIf& what) {
  const std::size_t at = text.find('=');
  const std::string_view name = text.substr(0, at), value = at == text.npos ? "" : text.substr(at + 1);
  if (name == "workers") {
    std::size_t count = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
    if (error != std::errc{} || end != value.data() + value.size() || count == 0 || count > kWorkersMax)
      return fail(Errc::bad_request,
                  fmt::format("workers={} is not a number from 1 to {}", value, kWorkersMax));
    what.workers = count;
    return {};
  }
  for (const auto mode : {core::QueueMode::fifo, core::QueueMode::round_robin, core::QueueMode::priority}) {
    if (name != "mode" || value != core::to_string(mode)) continue;
    what.mode = mode;
    return {};
  }
  return fail(Errc::bad_request,
              fmt::format("\"{}\" is neither workers=N nor mode=fifo, round_robin or priority", text));
}

std::string answer_what_if(const Recorded* day, core::Core& core, const WhatIf& what) {
  const core::WorkshopFacts facts = core.workshop();
  const core::QueueMode mode = what.mode.value_or(facts.mode);
  core::QueueCopy queue = core.copy_queue(facts.last_time);
  const Future now = foretell(queue);
  if (mode != facts.mode) {
    core::Entry entry;
    entry.sequence = Sequence{facts.last_sequence.value + 1};
    entry.time = facts.last_time;
    entry.wall = facts.last_wall;
    entry.event = core::ModeChanged{mode, "what-if"};
    [[maybe_unused]] const auto effects = core.apply(entry);
    queue = core.copy_queue(facts.last_time);
  }
  const Future then = foretell(what.workers ? with_slots(std::move(queue), *what.workers) : std::move(queue));
  return fmt::format(R"({{"format":"atelier-what-if/1",)"
                     "\n"
                     R"("day":{},)"
                     "\n"
                     R"("queue":{{"waiting":{},"all_ready_ms":{},"all_ready_then_ms":{},"jobs":[{}]}}}})"
                     "\n",
                     day_member(day, facts.mode, what), now.order.size(), now.all_ready(), then.all_ready(),
                     moves_text(now, then, core));
}

}  // namespace atelier::simulate
