// SPDX-License-Identifier: MIT
#pragma once
// The seam between the workshop and its faces: effects go up through this interface, injected by the app.

#include <span>

#include "core/types/effects.hpp"
#include "core/types/events.hpp"

namespace atelier::workshop {

class EffectSink {
 public:
  virtual ~EffectSink() = default;
  /// Called on the one thread for every applied entry, in order, after core, history and the lease table have
  /// seen it and before anybody who waits for the entry is answered. Must not block or wait; not called while
  /// replaying.
  virtual void on_effects(const core::Entry& entry, std::span<const core::Effect> effects) = 0;
};

}  // namespace atelier::workshop
