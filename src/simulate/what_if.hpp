// SPDX-License-Identifier: MIT
#pragma once
// "How long would it take with three GPUs, and who would move in another mode?": the journal's last day
// replayed through core, and its present queue foretold, each as it is and as it would be.

#include <cstddef>
#include <optional>
#include <string>

#include "core/core.hpp"
#include "simulate/recording.hpp"

namespace atelier::simulate {

struct WhatIf {
  std::optional<std::size_t> workers;   // slots, 1 to 1,000; empty: as it is
  std::optional<core::QueueMode> mode;  // empty: as it is
};

/// "workers=3" or "mode=round_robin", into `what`. Errors: bad_request with what may stand there.
[[nodiscard]] Result<void> read_what_if(std::string_view text, WhatIf& what);

/// One JSON object, atelier-what-if/1. `day`: null, if the journal keeps no job of that time; the queue is
/// foretold all the same. `core` is the journal's state; the mode of `what` is set in it.
[[nodiscard]] std::string answer_what_if(const Recorded* day, core::Core& core, const WhatIf& what);

}  // namespace atelier::simulate
