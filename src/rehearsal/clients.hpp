// SPDX-License-Identifier: MIT
#pragma once
// The open WebSockets by client id, and sending to them. One thread.
// Unlike ComfyUI, a second socket with the same id does not deafen the first: both hear everything.

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "net/websocket.hpp"

namespace atelier::rehearsal {

class Clients {
 public:
  /// Keep `queue` alive until remove().
  void add(const std::string& sid, net::OutgoingQueue& queue);
  void remove(const std::string& sid, net::OutgoingQueue& queue);

  /// To the sockets of `sid`; without one to all (that is what ComfyUI's sid None means). Unknown ids:
  /// nobody.
  void send(const std::optional<std::string>& sid, std::string text);
  [[nodiscard]] std::size_t size() const { return sockets_.size(); }
  /// Every socket: what waits is written, then a close frame with 1001.
  void close_all();

 private:
  std::multimap<std::string, net::OutgoingQueue*, std::less<>> sockets_;
};

}  // namespace atelier::rehearsal
