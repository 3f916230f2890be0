// SPDX-License-Identifier: MIT
#pragma once
// One checkpoint at a time: what every backend does first in checkpoint(). One thread.

#include <utility>

#include "base/result.hpp"

namespace atelier::journal {

class CheckpointTurn {
 public:
  /// `runs`: the journal's own flag, which outlives the turn. Error conflict: one is being written already.
  [[nodiscard]] static Result<CheckpointTurn> take(bool& runs) {
    if (runs) return fail(Errc::conflict, "a checkpoint is being written already");
    return CheckpointTurn(runs);
  }
  CheckpointTurn(CheckpointTurn&& other) noexcept : runs_(std::exchange(other.runs_, nullptr)) {}
  CheckpointTurn& operator=(CheckpointTurn&&) = delete;
  ~CheckpointTurn() {
    if (runs_ != nullptr) *runs_ = false;
  }

 private:
  explicit CheckpointTurn(bool& runs) : runs_(&runs) { runs = true; }

  bool* runs_;
};

}  // namespace atelier::journal
