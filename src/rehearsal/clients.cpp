// SPDX-License-Identifier: MIT
#include "rehearsal/clients.hpp"

#include <algorithm>
#include <iterator>

namespace atelier::rehearsal {

void Clients::add(const std::string& sid, net::OutgoingQueue& queue) { sockets_.emplace(sid, &queue); }

void Clients::remove(const std::string& sid, net::OutgoingQueue& queue) {
  const auto [begin, end] = sockets_.equal_range(sid);
  const auto found = std::find_if(begin, end, [&](const auto& entry) { return entry.second == &queue; });
  if (found != end) sockets_.erase(found);
}

void Clients::send(const std::optional<std::string>& sid, std::string text) {
  const net::Message message = net::Message::text(std::move(text));
  const auto push = [&](auto begin, auto end) {
    std::for_each(begin, end, [&](auto& e) { e.second->push(message); });
  };
  if (!sid) return push(sockets_.begin(), sockets_.end());
  const auto [begin, end] = sockets_.equal_range(*sid);
  push(begin, end);
}

void Clients::close_all() {
  for (const auto& [sid, queue] : sockets_) queue->close(net::CloseCode::going_away, "the engine stops");
}

}  // namespace atelier::rehearsal
