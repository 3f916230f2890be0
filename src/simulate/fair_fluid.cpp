// SPDX-License-Identifier: MIT
#include "simulate/fair_fluid.hpp"

#include <algorithm>

namespace atelier::simulate {

void FairFluid::add(std::uint64_t participant, double work, std::size_t job) {
  const auto [found, fresh] = active_.try_emplace(participant);
  Active& active = found->second;
  if (fresh) active.start = active.finish = virtual_;
  active.finish += work;
  ++active.jobs;
  next_.emplace(active.finish, participant, job);
}

void FairFluid::flow(double amount, double time, double rate) {
  constexpr double kNothing = 1e-9;
  while (amount > kNothing && !active_.empty()) {
    const auto [finish, participant, job] = next_.top();
    const auto sharers = static_cast<double>(active_.size());
    const double need = (finish - virtual_) * sharers;
    if (need > amount + kNothing) {
      virtual_ += amount / sharers;
      return;
    }
    amount -= std::max(need, 0.0);
    time += std::max(need, 0.0) / rate;
    virtual_ = std::max(finish, virtual_);
    next_.pop();
    finished_.emplace_back(job, time);
    const auto found = active_.find(participant);
    if (--found->second.jobs > 0) continue;
    received_[participant] += found->second.finish - found->second.start;
    active_.erase(found);
  }
}

double FairFluid::received(std::uint64_t participant) const {
  const auto former = received_.find(participant);
  const auto now = active_.find(participant);
  return (former == received_.end() ? 0 : former->second) +
         (now == active_.end() ? 0 : virtual_ - now->second.start);
}

}  // namespace atelier::simulate
