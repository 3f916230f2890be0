// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "core/types/facts.hpp"

namespace atelier::gateway {

/// Of a connected worker: busy, idle, paused, draining, stopping (what it runs shall end), engine_lost (no
/// ComfyUI is ready). One that runs something is busy, also when it shall take no more.
[[nodiscard]] std::string_view worker_state(const core::WorkerFacts& worker);

}  // namespace atelier::gateway
