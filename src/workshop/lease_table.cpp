// SPDX-License-Identifier: MIT
#include "workshop/lease_table.hpp"

#include <algorithm>

namespace atelier::workshop {

void LeaseTable::apply(std::span<const core::Effect> effects, Instant now,
                       const std::function<bool(LinkId)>& held_here) {
  for (const core::Effect& effect : effects) {
    if (const auto* moved = std::get_if<core::LeaseMoved>(&effect)) {
      if (held_here(moved->link)) {
        leases_[moved->job] = Lease{moved->epoch, moved->link, now + ttl_};
      } else {
        leases_.erase(moved->job);
      }
    } else if (const auto* dropped = std::get_if<core::LeaseDropped>(&effect)) {
      const auto found = leases_.find(dropped->job);
      if (found != leases_.end() && found->second.epoch == dropped->epoch) leases_.erase(found);
    }
  }
}

void LeaseTable::restore(JobId job, Epoch epoch, LinkId link, Instant now, milliseconds grace) {
  leases_[job] = Lease{epoch, link, now + grace};
}

void LeaseTable::renew(LinkId link, Instant now) {
  for (auto& [job, lease] : leases_) {
    if (lease.link == link) lease.deadline = std::max(lease.deadline, now + ttl_);
  }
}

void LeaseTable::renew(JobId job, Epoch epoch, Instant now) {
  const auto found = leases_.find(job);
  if (found != leases_.end() && found->second.epoch == epoch) {
    found->second.deadline = std::max(found->second.deadline, now + ttl_);
  }
}

void LeaseTable::extend_all(Instant until) {
  for (auto& [job, lease] : leases_) lease.deadline = std::max(lease.deadline, until);
}

std::vector<LeaseTable::Expired> LeaseTable::take_expired(Instant now, std::size_t count_max) {
  std::vector<Expired> expired;
  for (auto lease = leases_.begin(); lease != leases_.end() && expired.size() < count_max;) {
    if (lease->second.deadline > now) {
      ++lease;
      continue;
    }
    expired.push_back({lease->first, lease->second.epoch, lease->second.link});
    lease = leases_.erase(lease);
  }
  return expired;
}

std::optional<Instant> LeaseTable::next() const {
  std::optional<Instant> next;
  for (const auto& [job, lease] : leases_) next = next ? std::min(*next, lease.deadline) : lease.deadline;
  return next;
}

}  // namespace atelier::workshop
