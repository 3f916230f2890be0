// SPDX-License-Identifier: MIT
#pragma once
// How much may wait in the agent for the gateway.

#include <cstddef>
#include <cstdint>

#include "net/websocket.hpp"

namespace atelier::agent {

inline constexpr std::size_t kLinkBytesWaitingMax = 64 << 20;  // then the engines are not read on

/// None: the agent holds these bytes anyway, and what is told again on every new link would close each of
/// them.
[[nodiscard]] inline net::OutgoingLimits link_limits() {
  net::OutgoingLimits limits;
  limits.bytes_max = limits.messages_max = limits.large_bytes_max = SIZE_MAX;
  return limits;
}

[[nodiscard]] inline bool is_behind(const net::OutgoingQueue& queue) {
  return queue.bytes_waiting() + queue.large_bytes_waiting() > kLinkBytesWaitingMax;
}

}  // namespace atelier::agent
