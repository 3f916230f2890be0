// SPDX-License-Identifier: MIT
#pragma once
// What must lie in blobs/ as core knows it: what has no other place yet, or must not change.

#include <set>
#include <vector>

#include "core/core.hpp"

namespace atelier::workshop {

/// A job that waits or runs, and its accepted prompt, which names the inputs that were pinned for it.
struct PinningJob {
  JobId job;
  ParticipantId participant;
  core::Attachment prompt;
};

struct NeededContent {
  std::set<Digest> unlinked;        // of commits whose names are not made yet
  std::vector<PinningJob> pinning;  // by job id
};

/// Of this moment. What is needed in the next one was touched before (Blobs::touch).
[[nodiscard]] NeededContent needed_content(const core::Core& core);

}  // namespace atelier::workshop
