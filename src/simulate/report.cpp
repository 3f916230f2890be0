// SPDX-License-Identifier: MIT
#include "simulate/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "simulate/fair_fluid.hpp"

namespace atelier::simulate {
namespace {

template <class T>
T quantile(std::vector<T> values, double q) {
  if (values.empty()) return {};
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::ranges::nth_element(values, place);
  return *place;
}

std::int64_t nearest(double value) { return static_cast<std::int64_t>(std::nearbyint(value)); }
std::int64_t mean(const std::vector<std::int64_t>& values) {
  const auto sum = std::accumulate(values.begin(), values.end(), std::int64_t{0});
  return nearest(static_cast<double>(sum) / static_cast<double>(std::max<std::size_t>(values.size(), 1)));
}

/// Collects the report of one schedule, part by part.
class Scorer {
 public:
  Scorer(const Trace& trace, const Schedule& schedule) : trace_(trace), schedule_(schedule) {}
  Report score();

 private:
  using Interval = std::pair<std::int64_t, std::int64_t>;
  struct Service {
    std::int64_t from, to;
    double rate;
  };

  void count_runs();
  void check_workers();
  void measure_waits();
  void measure_gpu();
  void measure_idle();
  void measure_fairness();
  void measure_jain();
  void measure_affinity();
  void measure_etas();
  std::vector<Interval> busy_times(std::uint64_t participant) const;
  double rate(const Run& run) const {
    return static_cast<double>(trace_.workers[run.worker].speed_milli) / 1000;
  }

  const Trace& trace_;
  const Schedule& schedule_;
  Report report_;
  std::vector<const Run*> committed_;  // by job; null: never
  std::map<std::uint64_t, std::vector<Service>> services_;
};

void Scorer::count_runs() {
  report_.jobs = trace_.submissions.size();
  report_.runs = schedule_.runs.size();
  committed_.assign(report_.jobs, nullptr);
  std::vector<std::size_t> computed(report_.jobs, 0);
  for (const Run& run : schedule_.runs) {
    report_.reruns += run.epoch > 1;
    computed[run.job] += run.outcome != RunOutcome::lost;
    if (run.outcome != RunOutcome::committed) continue;
    if (committed_[run.job] != nullptr)
      report_.errors.push_back(fmt::format("job {} committed twice", run.job));
    committed_[run.job] = &run;
    report_.makespan = std::max(report_.makespan, run.end);
  }
  for (const Run* run : committed_) ++(run == nullptr ? report_.jobs_lost : report_.jobs_committed);
  report_.jobs_run_twice =
      static_cast<std::size_t>(std::ranges::count_if(computed, [](auto n) { return n > 1; }));
}

void Scorer::check_workers() {
  std::vector<std::int64_t> free_at(trace_.workers.size(), 0);
  for (const Run& run : schedule_.runs) {
    if (run.lease < free_at[run.worker]) {
      report_.errors.push_back(
          fmt::format("{} runs two jobs at {}", trace_.workers[run.worker].name, run.lease));
    }
    if (run.lease < trace_.submissions[run.job].time) {
      report_.errors.push_back(fmt::format("job {} before its submission", run.job));
    }
    free_at[run.worker] = run.end;
  }
}

void Scorer::measure_waits() {
  std::vector<std::int64_t> turnarounds, waits, images, videos;
  std::map<std::uint64_t, std::pair<std::int64_t, std::int64_t>> sums;  // turnaround, computing
  for (std::size_t job = 0; job < report_.jobs; ++job) {
    const Run* const run = committed_[job];
    if (run == nullptr) continue;
    const Submission& submission = trace_.submissions[job];
    const std::int64_t turnaround = run->end - submission.time, computing = trace_.run_ms(job, run->worker);
    turnarounds.push_back(turnaround);
    waits.push_back(turnaround - computing);
    (trace_.signatures[submission.signature].video ? videos : images).push_back(waits.back());
    if (submission.participant == 0) continue;
    auto& [waited, computed] = sums[submission.participant];
    waited += turnaround;
    computed += computing;
  }
  report_.turnaround_mean = mean(turnarounds);
  report_.wait_mean = mean(waits);
  report_.wait_p50 = quantile(waits, .5);
  report_.wait_p95 = quantile(waits, .95);
  report_.wait_max = waits.empty() ? 0 : *std::ranges::max_element(waits);
  report_.wait_image_mean = mean(images);
  report_.wait_video_mean = mean(videos);
  std::vector<double> slowdowns;
  for (const auto& [participant, sum] : sums)
    slowdowns.push_back(static_cast<double>(sum.first) / static_cast<double>(sum.second));
  report_.slowdown_median = quantile(slowdowns, .5);
  report_.slowdown_p95 = quantile(slowdowns, .95);
  report_.slowdown_max = slowdowns.empty() ? 0 : *std::ranges::max_element(slowdowns);
}

void Scorer::measure_gpu() {
  for (const Run& run : schedule_.runs) {
    report_.model_loads += run.loaded;
    if (run.outcome != RunOutcome::committed) {
      report_.gpu_lost += run.end - run.lease;
      continue;
    }
    report_.gpu_work += trace_.run_ms(run.job, run.worker);
    if (run.loaded) report_.gpu_load += trace_.set_of(trace_.submissions[run.job]).load_ms;
  }
  const std::int64_t all =
      report_.gpu_work + report_.gpu_load + report_.gpu_lost + report_.gpu_idle_while_waiting;
  report_.gpu_busy_fraction = all == 0 ? 0 : static_cast<double>(report_.gpu_work) / static_cast<double>(all);
}

/// Time of usable idle workers while at least one job waited.
void Scorer::measure_idle() {
  enum class What : std::uint8_t { waiting, runs, unusable };
  struct Change {
    What what;
    std::size_t worker;
    int by;
  };
  // By time, and at one time: ends, faults and given back, submissions, leases.
  std::multimap<std::pair<std::int64_t, int>, Change> changes;
  const auto add = [&changes](std::int64_t time, int rank, Change change) {
    changes.emplace(std::pair(time, rank), change);
  };
  for (const Submission& submission : trace_.submissions) add(submission.time, 2, {What::waiting, 0, 1});
  for (const Run& run : schedule_.runs) {
    add(run.lease, 3, {What::waiting, 0, -1});
    add(run.lease, 3, {What::runs, run.worker, 1});
    add(run.end, 0, {What::runs, run.worker, -1});
    if (run.requeued >= 0) add(run.requeued, 1, {What::waiting, 0, 1});
  }
  std::map<std::pair<std::size_t, FaultKind>, bool> open;
  for (const Fault& fault : trace_.faults) {
    const bool begins = fault.kind == FaultKind::death || fault.kind == FaultKind::drain ||
                        fault.kind == FaultKind::partition;
    const FaultKind kind = begins                                ? fault.kind
                           : fault.kind == FaultKind::comes_back ? FaultKind::death
                           : fault.kind == FaultKind::undrain    ? FaultKind::drain
                                                                 : FaultKind::partition;
    bool& is_open = open[{fault.worker, kind}];
    if (is_open == begins) continue;
    is_open = begins;
    add(fault.time, 1, {What::unusable, fault.worker, begins ? 1 : -1});
  }
  std::vector<int> running(trace_.workers.size(), 0), unusable(trace_.workers.size(), 0);
  std::int64_t waiting = 0, now = 0;
  for (const auto& [key, change] : changes) {
    const std::int64_t time = key.first;
    if (time > now && now < report_.makespan) {
      std::int64_t idle = 0;
      for (std::size_t worker = 0; worker < running.size(); ++worker)
        idle += running[worker] == 0 && unusable[worker] == 0;
      if (waiting > 0) report_.gpu_idle_while_waiting += (std::min(time, report_.makespan) - now) * idle;
      now = time;
    }
    if (change.what == What::waiting) {
      waiting += change.by;
    } else {
      (change.what == What::runs ? running : unusable)[change.worker] += change.by;
    }
  }
}

void Scorer::measure_fairness() {
  enum Rank { ends, submissions, starts };  // at one time in this order
  struct Change {
    std::uint64_t participant;
    double by;
    std::size_t job;
  };
  std::multimap<std::pair<std::int64_t, Rank>, Change> changes;
  const auto add = [&changes](std::int64_t time, Rank rank, Change change) {
    changes.emplace(std::pair(time, rank), change);
  };
  for (std::size_t job = 0; job < report_.jobs; ++job) {
    const Submission& submission = trace_.submissions[job];
    if (submission.participant == 0) continue;
    add(submission.time, submissions, {submission.participant, static_cast<double>(submission.work_ms), job});
  }
  for (std::size_t job = 0; job < report_.jobs; ++job) {
    const std::uint64_t participant = trace_.submissions[job].participant;
    const Run* const run = committed_[job];
    if (participant == 0 || run == nullptr) continue;
    const std::int64_t end = run->start + trace_.run_ms(job, run->worker);
    services_[participant].push_back({run->start, end, rate(*run)});
    add(run->start, starts, {participant, rate(*run), job});
    add(end, ends, {participant, -rate(*run), job});
  }
  FairFluid fluid;
  std::map<std::uint64_t, double> rates, received;
  std::vector<std::pair<std::uint64_t, double>> peaks;  // of those who have submitted, in that order
  std::set<std::uint64_t> known;
  double delivered = 0;
  std::int64_t now = 0;
  constexpr double kNothing = 1e-9;
  for (const auto& [key, change] : changes) {
    if (key.first > now) {
      const auto passed = static_cast<double>(key.first - now);
      if (delivered > kNothing) {
        for (const auto& [participant, own_rate] : rates) received[participant] += own_rate * passed;
        fluid.flow(delivered * passed, static_cast<double>(now), delivered);
      }
      for (auto& [participant, peak] : peaks)
        peak = std::max(peak, fluid.received(participant) - received[participant]);
      now = key.first;
    }
    if (key.second == submissions) {
      fluid.add(change.participant, change.by, change.job);
      if (known.insert(change.participant).second) peaks.emplace_back(change.participant, 0);
      continue;
    }
    double& own_rate = rates[change.participant];
    own_rate += change.by;
    delivered += change.by;
    if (std::abs(own_rate) < kNothing) rates.erase(change.participant);
    if (std::abs(delivered) < kNothing) delivered = 0;
  }
  std::vector<double> lags;
  for (const auto& [participant, peak] : peaks) {
    lags.push_back(peak);
    if (nearest(peak) <= report_.service_lag_max) continue;
    report_.service_lag_max = nearest(peak);
    report_.service_lag_participant = participant;
  }
  report_.service_lag_p95 = nearest(quantile(lags, .95));
  std::vector<double> lateness;
  double sum = 0;
  for (const auto& [job, ideal] : fluid.finished()) {
    if (committed_[job] == nullptr) continue;
    lateness.push_back(static_cast<double>(committed_[job]->end) - ideal);
    sum += std::max(lateness.back(), 0.0);
  }
  if (lateness.empty()) return;
  report_.lateness_mean = nearest(sum / static_cast<double>(lateness.size()));
  report_.lateness_max = nearest(*std::ranges::max_element(lateness));
  report_.lateness_p95 = nearest(quantile(std::move(lateness), .95));
}

/// When the participant had unfinished jobs.
std::vector<Scorer::Interval> Scorer::busy_times(std::uint64_t participant) const {
  std::vector<std::pair<std::int64_t, int>> changes;
  for (std::size_t job = 0; job < report_.jobs; ++job) {
    const Submission& submission = trace_.submissions[job];
    if (submission.participant != participant || committed_[job] == nullptr) continue;
    changes.emplace_back(submission.time, -1);  // before an end at the same time
    changes.emplace_back(committed_[job]->end, 1);
  }
  std::ranges::sort(changes);
  std::vector<Interval> times;
  int unfinished = 0;
  for (const auto& [time, ends] : changes) {
    if (unfinished == 0) times.emplace_back(time, time);
    unfinished -= ends;
    if (unfinished == 0) times.back().second = time;
    const std::size_t count = times.size();
    if (unfinished == 0 && count > 1 && times[count - 2].second == times[count - 1].first) {
      times[count - 2].second = time;
      times.pop_back();
    }
  }
  return times;
}

void Scorer::measure_jain() {
  constexpr std::int64_t kStep = 60'000;
  std::map<std::uint64_t, std::vector<Interval>> busy;
  for (const Submission& submission : trace_.submissions) {
    if (submission.participant != 0 && !busy.contains(submission.participant))
      busy.emplace(submission.participant, busy_times(submission.participant));
  }
  std::vector<double> indexes;
  const std::int64_t width = trace_.jain_window_ms;
  for (std::int64_t from = 0; from <= std::max<std::int64_t>(report_.makespan - width, 0); from += kStep) {
    const std::int64_t to = from + width;
    double sum = 0, squares = 0;
    std::size_t count = 0;
    for (const auto& [participant, times] : busy) {
      const auto all_of_it = [&](const Interval& time) { return time.first <= from && time.second >= to; };
      if (std::ranges::none_of(times, all_of_it)) continue;
      double received = 0;
      for (const Service& service : services_[participant]) {
        const std::int64_t overlap = std::min(service.to, to) - std::max(service.from, from);
        if (overlap > 0) received += static_cast<double>(overlap) * service.rate;
      }
      sum += received;
      squares += received * received;
      ++count;
    }
    if (count >= 3 && sum > 0) indexes.push_back(sum * sum / (static_cast<double>(count) * squares));
  }
  report_.jain_windows = indexes.size();
  if (indexes.empty()) return;
  report_.jain_mean =
      std::accumulate(indexes.begin(), indexes.end(), 0.0) / static_cast<double>(indexes.size());
  report_.jain_p5 = quantile(indexes, .05);
  report_.jain_min = *std::ranges::min_element(indexes);
}

void Scorer::measure_affinity() {
  constexpr std::int64_t kMinute = 60'000;
  std::map<std::size_t, std::vector<std::int64_t>> leases;
  for (const Run& run : schedule_.runs) leases[run.job].push_back(run.lease);
  std::map<std::size_t, std::size_t> places;
  std::map<std::size_t, std::int64_t> delays, open;
  for (const Run& run : schedule_.runs) {
    std::set<std::size_t> behind;
    for (const std::size_t job : run.passed) {
      const auto& own = leases[job];
      const auto next = std::ranges::lower_bound(own, run.lease);
      if (next == own.end() || *next > run.lease) behind.insert(job);
    }
    for (auto it = open.begin(); it != open.end();) {
      if (behind.contains(it->first)) {
        ++it;
        continue;
      }
      delays[it->first] += run.lease - it->second;
      it = open.erase(it);
    }
    for (const std::size_t job : behind) {
      ++places[job];
      open.try_emplace(job, run.lease);
    }
  }
  for (const auto& [job, count] : places) {
    report_.affinity_places_max = std::max(report_.affinity_places_max, count);
    report_.affinity_overtakes += count;
  }
  report_.affinity_jobs_passed = delays.size();
  for (const auto& [job, delay] : delays) {
    report_.affinity_delay_max = std::max(report_.affinity_delay_max, delay);
    report_.affinity_delay_over_60s += delay > kMinute;
  }
}

void Scorer::measure_etas() {
  if (schedule_.etas.empty()) return;
  EtaReport& etas = report_.etas.emplace();
  std::vector<double> errors, far, widths;
  for (const Eta& eta : schedule_.etas) {
    if (committed_[eta.job] == nullptr) continue;
    const std::int64_t truth = committed_[eta.job]->end - eta.time;
    if (truth <= 0) continue;
    const double error = std::abs(static_cast<double>(eta.p50 - truth)) / static_cast<double>(truth);
    errors.push_back(error);
    if (truth >= 60'000) far.push_back(error);
    widths.push_back(static_cast<double>(eta.p90) / static_cast<double>(std::max<std::int64_t>(eta.p50, 1)));
    etas.below_p50 += truth <= eta.p50;
    etas.inside += eta.p50 < truth && truth <= eta.p90;
    etas.below_p90 += truth <= eta.p90;
  }
  etas.count = errors.size();
  if (etas.count == 0) return;
  const auto count = static_cast<double>(etas.count);
  for (double* share : {&etas.below_p50, &etas.inside, &etas.below_p90}) *share /= count;
  etas.mdape = quantile(std::move(errors), .5);
  if (!far.empty()) etas.mdape_over_60s = quantile(std::move(far), .5);
  etas.width_median = quantile(std::move(widths), .5);
}

Report Scorer::score() {
  count_runs();
  check_workers();
  measure_waits();
  measure_idle();
  measure_gpu();
  measure_fairness();
  measure_jain();
  measure_affinity();
  measure_etas();
  return std::move(report_);
}

/// With `digits` behind the point, as short as that can be written.
std::string decimal(double value, int digits) {
  std::string text = fmt::format("{:.{}f}", value, digits);
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text += '0';
  return text;
}

}  // namespace

Report make_report(const Trace& trace, const Schedule& schedule) { return Scorer(trace, schedule).score(); }

std::string print_report(const Report& r, const Schedule& schedule) {
  namespace json = boost::json;
  std::string out = "{\n";
  const auto add = [&out](std::string_view name, const auto& value) {
    out += fmt::format(" \"{}\": {},\n", name, value);
  };
  const auto text = [](const std::string& value) { return json::serialize(json::value(value)); };
  add("format", "\"atelier-sched-report/1\"");
  add("trace", text(schedule.trace));
  add("policy", text(schedule.policy));
  add("valid", r.errors.empty());
  json::array errors;
  for (const std::string& error : r.errors) {
    if (errors.size() < 20) errors.emplace_back(error);
  }
  add("errors", json::serialize(errors));
  add("jobs", r.jobs);
  add("jobs_committed", r.jobs_committed);
  add("jobs_lost", r.jobs_lost);
  add("jobs_run_twice", r.jobs_run_twice);
  add("runs", r.runs);
  add("reruns", r.reruns);
  add("makespan_ms", r.makespan);
  add("gpu_work_ms", r.gpu_work);
  add("gpu_load_ms", r.gpu_load);
  add("gpu_lost_ms", r.gpu_lost);
  add("gpu_idle_while_waiting_ms", r.gpu_idle_while_waiting);
  add("gpu_busy_fraction", decimal(r.gpu_busy_fraction, 4));
  add("model_loads", r.model_loads);
  add("turnaround_mean_ms", r.turnaround_mean);
  add("wait_mean_ms", r.wait_mean);
  add("wait_p50_ms", r.wait_p50);
  add("wait_p95_ms", r.wait_p95);
  add("wait_max_ms", r.wait_max);
  add("wait_image_mean_ms", r.wait_image_mean);
  add("wait_video_mean_ms", r.wait_video_mean);
  add("slowdown_median", decimal(r.slowdown_median, 3));
  add("slowdown_p95", decimal(r.slowdown_p95, 3));
  add("slowdown_max", decimal(r.slowdown_max, 3));
  add("service_lag_max_ms", r.service_lag_max);
  add("service_lag_participant", r.service_lag_participant);
  add("service_lag_p95_ms", r.service_lag_p95);
  add("lateness_mean_ms", r.lateness_mean);
  add("lateness_p95_ms", r.lateness_p95);
  add("lateness_max_ms", r.lateness_max);
  add("jain_windows", r.jain_windows);
  const bool any = r.jain_windows > 0;
  add("jain_mean", any ? decimal(r.jain_mean, 4) : "null");
  add("jain_p5", any ? decimal(r.jain_p5, 4) : "null");
  add("jain_min", any ? decimal(r.jain_min, 4) : "null");
  add("affinity_places_max", r.affinity_places_max);
  add("affinity_delay_max_ms", r.affinity_delay_max);
  add("affinity_delay_over_60s", r.affinity_delay_over_60s);
  add("affinity_jobs_passed", r.affinity_jobs_passed);
  add("affinity_overtakes", r.affinity_overtakes);
  if (r.etas) {
    add("eta",
        fmt::format(
            R"({{"count": {}, "mdape": {}, "mdape_over_60s": {}, "below_p50": {}, "inside": {}, "below_p90": {}, )"
            R"("width_median": {}}})",
            r.etas->count, decimal(r.etas->mdape, 4),
            r.etas->mdape_over_60s ? decimal(*r.etas->mdape_over_60s, 4) : "null",
            decimal(r.etas->below_p50, 4), decimal(r.etas->inside, 4), decimal(r.etas->below_p90, 4),
            decimal(r.etas->width_median, 3)));
  }
  add("sim_wall_ms", schedule.wall_ms);
  out += fmt::format(" \"decision_p99_ns\": {}\n}}\n", schedule.decision_p99_ns);
  return out;
}

}  // namespace atelier::simulate
