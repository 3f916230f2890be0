// SPDX-License-Identifier: MIT
#pragma once
// The numbers of the fair order and of affinity's bound (docs/decisions/core-2026-11-28-fair-turns-order.md):
// decide goes by them, forecasts simulate them, and participants are told of them. Pure.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/core.hpp"

namespace atelier::core {

/// What a free slot is to jobs that need the same: cannot run them, would have to load, has the models.
enum class Fit : std::uint8_t { unable, able, holds };

/// How many turns of the order affinity looks at.
inline constexpr std::size_t kLookAhead = 16;

/// What counts of a run in the order, of `run_ms` at reference speed.
inline std::uint64_t run_in_order_ms(std::uint64_t run_ms) { return run_ms * 19 / 20; }

/// What counts of a load when `sharers` waiting jobs want these models.
inline std::uint64_t load_in_order_ms(std::uint64_t load_ms, std::size_t sharers) {
  const auto wanting = static_cast<double>(std::max<std::size_t>(sharers, 1));
  return static_cast<std::uint64_t>(static_cast<double>(load_ms) * 5 / std::sqrt(std::sqrt(wanting)));
}

/// Affinity may delay a job that has waited this long by this much in all (core.md 2).
inline std::int64_t affinity_delay_max_ms(const Affinity& affinity, std::int64_t waited_ms) {
  if (affinity.delay_max) return affinity.delay_max->count();
  return std::clamp<std::int64_t>(waited_ms / 10, 60'000, 300'000);
}

}  // namespace atelier::core
