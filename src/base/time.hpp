// SPDX-License-Identifier: MIT
#pragma once
// Three clocks that must never be mixed, all in integer milliseconds (design.md 3, "Time").

#include <chrono>
#include <compare>
#include <cstdint>

namespace atelier {

using std::chrono::milliseconds;

template <class Tag>
struct TimePoint {
  std::int64_t ms = 0;
  auto operator<=>(const TimePoint&) const = default;
  friend TimePoint operator+(TimePoint t, milliseconds d) { return {t.ms + d.count()}; }
  friend TimePoint operator-(TimePoint t, milliseconds d) { return {t.ms - d.count()}; }
  friend milliseconds operator-(TimePoint a, TimePoint b) { return milliseconds{a.ms - b.ms}; }
};

/// Workshop time: given by the journal at append, never goes back. Core knows no other clock.
using Time = TimePoint<struct WorkshopTimeTag>;
/// CLOCK_BOOTTIME of this process: deadlines, heartbeats, timers. Never stored.
using Instant = TimePoint<struct InstantTag>;
/// Unix time in milliseconds: for display, never for a decision.
using WallTime = TimePoint<struct WallTimeTag>;

}  // namespace atelier
