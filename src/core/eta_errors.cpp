// SPDX-License-Identifier: MIT
#include "core/eta_errors.hpp"

#include <algorithm>
#include <iterator>

namespace atelier::core {
namespace {

constexpr double kShare = 0.88;          // of the errors seen: a little less than that of the jobs, because
                                         // the overdue ones count, too
constexpr double kRecentMs = 1'200'000;  // an error that old counts half
constexpr double kLeastMs = 500;         // shorter forecasts are all alike
/// An overdue job will take longer than it has.
constexpr double kOverdueMore = 1.1;
/// What is assumed before anything was seen, as if it had been seen this often.
constexpr double kAssumed = 3;

/// 1 for two forecasts of equal length, a half if one is nearly twice the other.
double likeness(double a, double b) {
  const double times = std::max(a, b) / std::min(a, b) - 1;
  return 1 / (1 + times * times * 1.5);
}

}  // namespace

double EtaSpread::stretch(std::int64_t ready_ms) const {
  const double length = std::max(static_cast<double>(ready_ms), kLeastMs);
  struct Item {
    double ratio, weight;
  };
  std::vector<Item> items;
  items.reserve(seen_.size() + 3);
  double total = 0;
  const auto add = [&](double ratio, double weight) {
    items.push_back({ratio, weight});
    total += weight;
  };
  constexpr Item kFirst[] = {{0.95, kAssumed * 0.45}, {1.05, kAssumed * 0.45}, {1.3, kAssumed * 0.1}};
  std::size_t next = 0;
  for (const Seen& seen : seen_) {
    while (next < std::size(kFirst) && kFirst[next].ratio < seen.ratio)
      add(kFirst[next].ratio, kFirst[next].weight), ++next;
    add(seen.ratio, seen.weight * likeness(seen.ready_ms, length));
  }
  for (; next < std::size(kFirst); ++next) add(kFirst[next].ratio, kFirst[next].weight);
  double below = 0;
  for (const Item& item : items) {
    below += item.weight;
    if (below >= total * kShare) return std::max(item.ratio, 1.02);
  }
  return 1.3;
}

void EtaErrors::foretold(JobId job, Time made, std::int64_t ready_ms) {
  if (!open_.emplace(job, Foretold{made, ready_ms}).second) return;
  if (open_.size() > kOpenMax) open_.erase(open_.begin());
}

void EtaErrors::ready(JobId job, Time now) {
  const auto found = open_.find(job);
  if (found == open_.end()) return;
  ready_.push_back({found->second, now});
  open_.erase(found);
  if (ready_.size() > kReadyKept) ready_.pop_front();
}

JobId EtaErrors::keep_only(JobId from, std::size_t most, const std::function<bool(JobId)>& stays) {
  auto entry = open_.lower_bound(from);
  for (; entry != open_.end() && most > 0; --most)
    entry = stays(entry->first) ? std::next(entry) : open_.erase(entry);
  return entry == open_.end() ? JobId{} : entry->first;
}

EtaSpread EtaErrors::spread(Time now) const {
  EtaSpread spread;
  const auto add = [&spread](const Foretold& foretold, double took_ms, double weight) {
    const double length = std::max(static_cast<double>(foretold.ready_ms), kLeastMs);
    spread.seen_.push_back({took_ms / std::max(static_cast<double>(foretold.ready_ms), 1.0), length, weight});
  };
  for (const Ready& ready : ready_) {
    const auto age = static_cast<double>((now - ready.at).count());
    add(ready.foretold, static_cast<double>((ready.at - ready.foretold.made).count()),
        kRecentMs / (kRecentMs + age));
  }
  std::size_t overdue = 0;
  for (const auto& [job, foretold] : open_) {
    const std::int64_t took = (now - foretold.made).count();
    if (took <= foretold.ready_ms) continue;
    add(foretold, static_cast<double>(took) * kOverdueMore, 1);
    if (++overdue == kOverdueMax) break;
  }
  std::ranges::sort(spread.seen_, {}, &EtaSpread::Seen::ratio);
  return spread;
}

}  // namespace atelier::core
