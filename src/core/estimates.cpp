// SPDX-License-Identifier: MIT
#include "core/estimates.hpp"

#include <algorithm>

namespace atelier::core {
namespace {

constexpr std::uint64_t kUnknownRunMs = 20'000, kUnknownLoadMs = 15'000;

}  // namespace

void Estimates::Recent::add(std::uint64_t value) {
  if (samples_.size() < kKept) {
    samples_.push_back(value);
  } else {
    samples_[next_] = value;
    next_ = (next_ + 1) % kKept;
  }
  std::vector<std::uint64_t> sorted = samples_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  median_ = *middle;
}

Estimates::Known& Estimates::known(std::uint64_t signature) {
  const auto found = signatures_.find(signature);
  if (found != signatures_.end()) return found->second;
  return signatures_[signatures_.size() >= kSignaturesMax ? 0 : signature];
}

const Estimates::Known* Estimates::know(std::uint64_t signature, const std::vector<std::string>& models) {
  Known& entry = known(signature);
  if (entry.group != 0 || models.empty()) return &entry;
  const auto [group, fresh] = groups_by_models_.emplace(models, groups_.size());
  if (fresh) groups_.emplace_back();
  entry.group = group->second;
  return &entry;
}

const Estimates::Known& Estimates::of(std::uint64_t signature) const {
  const auto found = signatures_.find(signature);
  return found == signatures_.end() ? signatures_.at(0) : found->second;
}

void Estimates::add(std::uint64_t signature, std::uint32_t speed_milli, bool loaded, std::uint64_t gpu_ms) {
  Known& entry = known(signature);
  Group& group = groups_[entry.group];
  const auto at_reference = [speed_milli](std::uint64_t ms) { return ms * speed_milli / 1000; };
  std::uint64_t run = gpu_ms;
  if (loaded) {
    const std::uint64_t load = load_ms(entry);
    if (!entry.runs.empty()) {
      const std::uint64_t expected = run_ms(entry, speed_milli);
      const std::uint64_t seen = gpu_ms > expected ? gpu_ms - expected : 0;
      group.loads.add(seen);
      all_.loads.add(seen);
      return;  // of the run itself it says nothing new
    }
    run = std::max(gpu_ms / 8, gpu_ms > load ? gpu_ms - load : 0);
  }
  entry.runs.add(at_reference(run));
  group.runs.add(at_reference(run));
  all_.runs.add(at_reference(run));
}

std::uint64_t Estimates::run_ms(const Known& known, std::uint32_t speed_milli) const {
  const Group& group = groups_[known.group];
  const std::uint64_t reference = !known.runs.empty()   ? known.runs.median()
                                  : !group.runs.empty() ? group.runs.median()
                                  : !all_.runs.empty()  ? all_.runs.median()
                                                        : kUnknownRunMs;
  return reference * 1000 / speed_milli;
}

std::uint64_t Estimates::load_ms(const Known& known) const {
  const Group& group = groups_[known.group];
  if (!group.loads.empty()) return group.loads.median();
  return all_.loads.empty() ? kUnknownLoadMs : all_.loads.median();
}

}  // namespace atelier::core
