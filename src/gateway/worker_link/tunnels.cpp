// SPDX-License-Identifier: MIT
#include "gateway/worker_link/tunnels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/relay.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kMessageBytesMax = 64 << 10;
constexpr milliseconds kWriteStall{300'000};  // ComfyUI takes nothing while it loads a model

}  // namespace

class Tunnels::Place {
 public:
  Place(Tunnels& tunnels, WorkerId worker) : tunnels_(tunnels), worker_(worker) {
    ++tunnels_.all_;
    ++tunnels_.by_worker_[worker_];
  }
  ~Place() {
    --tunnels_.all_;
    const auto found = tunnels_.by_worker_.find(worker_);
    if (--found->second == 0) tunnels_.by_worker_.erase(found);
    tunnels_.changed_.notify_all();
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  [[nodiscard]] WorkerId worker() const { return worker_; }

 private:
  Tunnels& tunnels_;
  WorkerId worker_;
};

Tunnels::Tunnels(Runtime& runtime, TunnelLimits limits)
    : runtime_(runtime), limits_(limits), changed_(runtime) {}

bool Tunnels::has_turn(WorkerId worker) const {
  const auto found = by_worker_.find(worker);
  return all_ < limits_.all_max && (found == by_worker_.end() || found->second < limits_.per_worker_max);
}

awaitable<Result<std::unique_ptr<net::ByteStream>>> Tunnels::open(WorkerId worker, LinkId link,
                                                                  std::move_only_function<void(Key128)> ask) {
  const Instant turn_until = runtime_.now() + limits_.turn_time;
  while (!stopping_ && !has_turn(worker)) {
    if (!co_await changed_.wait(turn_until)) {
      co_return fail(Errc::queue_full,
                     fmt::format("{} connections to workers' ComfyUIs are open, {} to this "
                                 "worker: as many as may be.",
                                 all_, by_worker_.contains(worker) ? by_worker_.at(worker) : 0));
    }
  }
  if (stopping_) co_return fail(Errc::unavailable, "The server is stopping.");
  auto expected = std::make_shared<Expected>(link);
  expected->place = std::make_shared<Place>(*this, worker);
  const Key128 id = runtime_.random_key();
  struct Leave {
    std::map<Key128, std::shared_ptr<Expected>>& from;
    Key128 id;
    ~Leave() { from.erase(id); }
  } const leave{expected_, id};
  expected_.emplace(id, expected);
  ask(id);
  const Instant until = runtime_.now() + limits_.arrival_time;
  while (!expected->stream && !stopping_) {
    if (!co_await changed_.wait(until)) break;
  }
  if (expected->stream) co_return std::move(expected->stream);
  if (stopping_) co_return fail(Errc::unavailable, "The server is stopping.");
  co_return fail(
      Errc::timeout,
      "The worker did not open a connection to its ComfyUI in time: its ComfyUI may not be running.");
}

net::Response Tunnels::accept(const net::Request& request, LinkId link, Key128 id) {
  const auto found = expected_.find(id);
  if (stopping_ || found == expected_.end() || found->second->link != link || !found->second->place)
    return net::Response::text(404, "Nobody waits for this tunnel (any more).\n");
  if (!request.wants_websocket()) return net::Response::text(400, "This address is for WebSockets.\n");
  net::WebSocketLimits limits;
  limits.message_bytes_max = kMessageBytesMax;
  limits.write_stall = kWriteStall;
  auto serve = [this, id, link](std::unique_ptr<net::WebSocket> socket) {
    return run(std::move(socket), id, link);
  };
  return net::Response::websocket(std::move(serve), limits);
}

awaitable<void> Tunnels::run(std::unique_ptr<net::WebSocket> socket, Key128 id, LinkId link) {
  const auto found = expected_.find(id);
  if (stopping_ || found == expected_.end() || found->second->link != link || !found->second->place)
    co_return;
  const std::shared_ptr<Place> place = std::move(found->second->place);  // nobody else can come
  struct Leave {
    std::map<net::WebSocket*, WorkerId>& from;
    net::WebSocket* socket;
    ~Leave() { from.erase(socket); }
  } const leave{sockets_, socket.get()};
  sockets_.emplace(socket.get(), place->worker());
  net::MemoryPair pair = net::make_memory_pair(runtime_.executor());
  found->second->stream = std::move(pair.first);
  changed_.notify_all();
  co_await net::relay(runtime_, std::move(socket), std::move(pair.second));
}

void Tunnels::end(WorkerId worker) {
  for (const auto& [socket, of] : sockets_) {
    if (of == worker) socket->drop();
  }
}

void Tunnels::stop() {
  stopping_ = true;
  for (const auto& [socket, of] : sockets_) socket->drop();
  changed_.notify_all();
}

}  // namespace atelier::gateway
