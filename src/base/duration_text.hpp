// SPDX-License-Identifier: MIT
#pragma once
// Lengths of time in sentences for people.

#include <string>

#include "base/time.hpp"

namespace atelier {

/// "5 min 40 s", "30 min", "1 h 30 min": exact, a begun second counts as one.
[[nodiscard]] std::string duration_text(milliseconds duration);

/// Of a job that was ended for it, as everybody reads it.
[[nodiscard]] std::string time_limit_text(milliseconds limit);

}  // namespace atelier
