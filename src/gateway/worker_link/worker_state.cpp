// SPDX-License-Identifier: MIT
#include "gateway/worker_link/worker_state.hpp"

#include <algorithm>

namespace atelier::gateway {

std::string_view worker_state(const core::WorkerFacts& worker) {
  const auto has = [&](core::SlotState state) {
    return std::ranges::find(worker.slots, state, &core::SlotFacts::state) != worker.slots.end();
  };
  if (has(core::SlotState::busy)) return "busy";
  if (!has(core::SlotState::idle) && !has(core::SlotState::stopping)) return "engine_lost";
  if (worker.paused) return "paused";
  if (worker.draining) return "draining";
  return has(core::SlotState::idle) ? "idle" : "stopping";
}

}  // namespace atelier::gateway
