// SPDX-License-Identifier: MIT
#pragma once
// What the history and jobs routes show of an ended job beyond its summary. Internal to participant.

#include "gateway/participant/face_impl.hpp"

namespace atelier::gateway {

struct ParticipantFace::Impl::HistoryParts {
  std::shared_ptr<const AcceptedParts> accepted;  // null: its attachment is gone
  std::string outputs = "{}", status, meta;       // JSON text
  std::string error;                              // data of execution_error; "" if it did not fail
};

/// Taken out of the queue before it ran: ComfyUI's history and job lists have no trace of it (CI C4).
[[nodiscard]] inline bool never_ran(const core::Summary& summary) {
  return summary.reason == core::EndReason::cancelled_waiting;
}

/// Nodes with outputs in the order in which they ran; those that `order` does not name follow.
void put_in_order(std::vector<core::HistoryNode>& nodes, const std::vector<std::string>& order);

/// The ending event of a job that no engine ended, in stock's shape; "" for one that was cancelled while it
/// waited.
[[nodiscard]] std::string ending_event_of(const core::Summary& summary);

}  // namespace atelier::gateway
