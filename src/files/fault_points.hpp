// SPDX-License-Identifier: MIT
#pragma once
// Named points inside the stores at which a test lets the disk fail or the process die. In production the
// hook is null and a point costs one relaxed load.

#include <atomic>

namespace atelier::files {

/// Gives an errno to inject at `point`, or 0 to go on. May end the process. Called from any thread.
using FaultHook = int (*)(const char* point);

namespace detail {
inline std::atomic<FaultHook> fault_hook{nullptr};
}

/// For tests only.
inline void set_fault_hook(FaultHook hook) { detail::fault_hook.store(hook); }

[[nodiscard]] inline int fault_at(const char* point) {
  FaultHook hook = detail::fault_hook.load(std::memory_order_relaxed);
  return hook == nullptr ? 0 : hook(point);
}

}  // namespace atelier::files
