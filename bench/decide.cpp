// SPDX-License-Identifier: MIT
// How long one decision takes with many waiting jobs, in every mode, beside a bare look-up in a map of as
// many entries; and a copy of a queue of 1,000 and 5,000, its order and its forecast. Usage: bench_decide
// [WAITING [PARTICIPANTS [WORKERS [DECISIONS]]]] (100000 500 20 4000)
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>

#include "core/core.hpp"
#include "core/forecast.hpp"

namespace atelier::core {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint64_t kModelSets = 12, kSignatures = 36;

/// A workshop in which runs end one by one and as many jobs are submitted as end.
class Crowd {
 public:
  Crowd(QueueMode mode, std::uint64_t participants, std::uint64_t workers) : participants_(participants) {
    post(GatewayJoined{Key128{1, 1}, true, {}});
    if (mode != QueueMode::fifo) post(ModeChanged{mode, "bench"});
    Capability capability;
    capability.hash = sha256("bench");
    for (std::uint64_t set = 0; set < kModelSets; ++set)
      capability.models.push_back(fmt::format("set-{:02}", set));
    post(capability);
    for (std::uint64_t i = 0; i < workers; ++i) {
      WorkerJoined joined;
      joined.name = fmt::format("gpu-{}", i);
      joined.gateway = GatewayId{1};
      joined.boot = Key128{1, i + 1};
      joined.slots.push_back(
          {.capability = sha256("bench"), .engine_version = {}, .kind = "H", .engine_start = 1});
      post(joined);
    }
  }

  void submit() {
    Submitted submitted;
    submitted.participant = ParticipantId{1 + random() % participants_};
    submitted.prompt_id = fmt::format("{}", ++submitted_);
    submitted.signature = 1 + random() % kSignatures;
    submitted.models.push_back(fmt::format("set-{:02}", submitted.signature % kModelSets));
    submitted.priority = static_cast<PriorityLevel>(1 + random() % 3);
    post(submitted);
  }

  /// Decides until nothing is proposed; gives the nanoseconds of each decision.
  void decide(std::vector<std::int64_t>& took) {
    while (true) {
      const auto before = SteadyClock::now();
      const Decision decision = core_.decide(now_);
      took.push_back(
          std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now() - before).count());
      if (decision.proposals.empty()) return;
      for (const Event& proposal : decision.proposals) {
        post(proposal);
        const auto& leased = std::get<Leased>(proposal);
        post(Started{leased.job, leased.epoch});
        running_.emplace_back(leased.job, leased.epoch);
      }
    }
  }

  [[nodiscard]] QueueCopy copy() const { return core_.copy_queue(now_); }

  void end_one() {
    const auto [job, epoch] = running_.front();
    running_.pop_front();
    now_ = now_ + milliseconds{static_cast<std::int64_t>(200 + random() % 2'000)};
    post(Computed{job, epoch, 2'000 + random() % 20'000});
    post(Ended{.job = job, .epoch = epoch, .sentence = {}, .report = {}});
  }

 private:
  void post(Event event) {
    core_.apply(Entry{Sequence{++sequence_}, now_, WallTime{now_.ms}, {}, std::move(event)});
  }
  std::uint64_t random() {  // xorshift
    seed_ ^= seed_ << 13;
    seed_ ^= seed_ >> 7;
    return seed_ ^= seed_ << 17;
  }

  Core core_;
  std::uint64_t participants_, submitted_ = 0, sequence_ = 0, seed_ = 88'172'645'463'325'252;
  Time now_{1};
  std::deque<std::pair<JobId, Epoch>> running_;
};

std::int64_t quantile(std::vector<std::int64_t>& values, double q) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, place);
  return *place;
}

double look_up_ns(std::uint64_t entries) {
  std::map<std::uint64_t, std::uint64_t> map;
  for (std::uint64_t i = 0; i < entries; ++i) map.emplace(i * 7'919 % entries, i);
  std::uint64_t sum = 0, key = 1;
  constexpr int kTimes = 100'000;
  const auto before = SteadyClock::now();
  for (int i = 0; i < kTimes; ++i) sum += map.find(key = (key * 7'919 + 1) % entries)->second;
  const auto took = std::chrono::duration<double, std::nano>(SteadyClock::now() - before).count();
  [[maybe_unused]] const volatile std::uint64_t kept = sum;  // or nothing is looked up
  return took / kTimes;
}

void measure(QueueMode mode, std::uint64_t waiting, std::uint64_t participants, std::uint64_t workers,
             int decisions) {
  Crowd crowd(mode, participants, workers);
  for (std::uint64_t i = 0; i < waiting; ++i) crowd.submit();
  std::vector<std::int64_t> took;
  crowd.decide(took);
  for (int i = 0; i < 300; ++i) {  // until run times are known
    crowd.end_one();
    crowd.decide(took);
  }
  took.clear();
  for (int i = 0; i < decisions; ++i) {
    crowd.end_one();
    crowd.submit();
    crowd.decide(took);
  }
  fmt::print(
      "{}: p50 {:.1f} us, p99 {:.1f} us, max {:.1f} us of {} decisions, {} waiting | p99 must < 50 us\n",
      to_string(mode), static_cast<double>(quantile(took, 0.5)) / 1e3,
      static_cast<double>(quantile(took, 0.99)) / 1e3, static_cast<double>(quantile(took, 1)) / 1e3,
      took.size(), waiting);
}

/// The median of a few times, in milliseconds.
double milliseconds_of(const auto& work) {
  std::vector<double> took;
  for (int i = 0; i < 9; ++i) {
    const auto before = SteadyClock::now();
    work();
    took.push_back(std::chrono::duration<double, std::milli>(SteadyClock::now() - before).count());
  }
  std::ranges::sort(took);
  return took[took.size() / 2];
}

void measure_forecast(QueueMode mode, std::uint64_t waiting, std::uint64_t participants,
                      std::uint64_t workers) {
  Crowd crowd(mode, participants, workers);
  std::vector<std::int64_t> took;
  for (std::uint64_t i = 0; i < waiting + 300; ++i) crowd.submit();
  crowd.decide(took);
  for (int i = 0; i < 300; ++i) {
    crowd.end_one();
    crowd.decide(took);
  }
  QueueCopy queue;
  const double copied = milliseconds_of([&] { queue = crowd.copy(); });
  const double ordered = milliseconds_of([&] { return starting_order(queue); });
  const double foretold = milliseconds_of([&] { return forecast(queue, {}); });
  fmt::print(
      "{}, {} waiting, {} people: copy {:.2f} ms, order {:.2f} ms (1,000: must < 2), "
      "forecast {:.0f} ms (must < 1,000)\n",
      to_string(mode), queue.rows.size(), participants, copied, ordered, foretold);
}

}  // namespace
}  // namespace atelier::core

int main(int argc, char** argv) {
  const auto number = [&](int at, std::uint64_t otherwise) {
    return argc > at ? std::strtoull(argv[at], nullptr, 10) : otherwise;
  };
  const std::uint64_t waiting = number(1, 100'000), participants = number(2, 500), workers = number(3, 20);
  using enum atelier::core::QueueMode;
  for (const auto mode : {fifo, priority, round_robin}) {
    atelier::core::measure(mode, waiting, participants, workers, static_cast<int>(number(4, 4'000)));
  }
  fmt::print("a look-up in a map of as many entries: {:.0f} ns\n", atelier::core::look_up_ns(waiting));
  for (const auto mode : {fifo, priority, round_robin}) {
    for (const std::uint64_t queue : {1'000u, 5'000u}) {
      for (const std::uint64_t people : {20u, 500u})
        atelier::core::measure_forecast(mode, queue, people, workers);
    }
  }
  return 0;
}
