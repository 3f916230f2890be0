// SPDX-License-Identifier: MIT
#pragma once
// The clocks of live leases (design.md 6, core.md 5): a lease is a hint, the epoch is the truth. Deadlines
// are on the monotonic clock and not journaled; when one passes, `lease_expired` is posted and core decides.
// One thread.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/time.hpp"
#include "core/types/effects.hpp"

namespace atelier::workshop {

class LeaseTable {
 public:
  struct Expired {
    JobId job;
    Epoch epoch;
    LinkId link;
  };

  /// `ttl`: LEASE_TTL, 5 s .. 10 min.
  explicit LeaseTable(milliseconds ttl) : ttl_(ttl) {}

  /// Starts, moves and drops clocks as core says. `held_here`: whether this gateway holds that link; leases
  /// of others have their clocks there.
  void apply(std::span<const core::Effect> effects, Instant now,
             const std::function<bool(LinkId)>& held_here);
  /// A lease found in the journal at start: the worker could not renew while we were down, it gets `grace`.
  void restore(JobId job, Epoch epoch, LinkId link, Instant now, milliseconds grace);
  /// A heartbeat: all leases of this link live for another `ttl` from `now`.
  void renew(LinkId link, Instant now);
  /// An upload chunk of one lease. Unknown or older epochs are ignored.
  void renew(JobId job, Epoch epoch, Instant now);
  /// Nobody could renew while this process stood still (suspended, stopped): all live at least until then.
  void extend_all(Instant until);
  /// Takes out what has expired by `now`, at most `count_max`, by job id; the caller posts lease_expired for
  /// each.
  [[nodiscard]] std::vector<Expired> take_expired(Instant now, std::size_t count_max = SIZE_MAX);
  /// When the next one expires.
  [[nodiscard]] std::optional<Instant> next() const;
  [[nodiscard]] std::size_t size() const { return leases_.size(); }

 private:
  struct Lease {
    Epoch epoch;
    LinkId link;
    Instant deadline;
  };
  milliseconds ttl_;
  std::map<JobId, Lease> leases_;  // at most one per slot: hundreds
};

}  // namespace atelier::workshop
