// SPDX-License-Identifier: MIT
#pragma once
// Workshop time as a journal gives it (design.md 3): last recorded + elapsed CLOCK_BOOTTIME; a gap while the
// server was down counts as the wall clock's difference, at least 0. Never goes back.

#include <algorithm>

#include "runtime/runtime.hpp"

namespace atelier::journal {

class Clock {
 public:
  /// `last` and `last_wall` of the last entry recorded, zero if there is none.
  Clock(const Runtime& runtime, Time last, WallTime last_wall) : runtime_(runtime), opened_(runtime.now()) {
    const bool fresh = last == Time{} && last_wall == WallTime{};
    base_ = fresh ? last : last + std::max(milliseconds{0}, runtime.wall() - last_wall);
  }
  [[nodiscard]] Time now() const { return base_ + (runtime_.now() - opened_); }
  /// Another gateway's entry was later: time goes on from there.
  void raise_to(Time time) {
    if (now() < time) base_ = base_ + (time - now());
  }
  [[nodiscard]] WallTime wall() const { return runtime_.wall(); }

 private:
  const Runtime& runtime_;
  Instant opened_;
  Time base_;
};

}  // namespace atelier::journal
