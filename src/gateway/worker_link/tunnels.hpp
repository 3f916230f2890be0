// SPDX-License-Identifier: MIT
#pragma once
// Ways to the ComfyUI of a slot, through the agent: it is asked to open one (`open_tunnel`) and comes with a
// WebSocket to /worker/tunnel/ID, whose messages are the bytes. One thread.

#include <cstddef>
#include <functional>
#include <map>
#include <memory>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::gateway {

struct TunnelLimits {
  std::size_t per_worker_max = 16;
  std::size_t all_max = 64;
  milliseconds turn_time{10'000};     // to wait for one of them to end
  milliseconds arrival_time{15'000};  // from the asking to the agent's WebSocket
};

class Tunnels {
 public:
  explicit Tunnels(Runtime& runtime, TunnelLimits limits = {});

  /// Asks with `ask`, which sends the id to the agent of `link`, and gives this end of the tunnel; closing it
  /// ends the tunnel. Errors: queue_full (no turn in time), timeout (the agent did not come; the sentence
  /// says what that may mean), unavailable (the server stops).
  [[nodiscard]] awaitable<Result<std::unique_ptr<net::ByteStream>>> open(
      WorkerId worker, LinkId link, std::move_only_function<void(Key128)> ask);

  /// The agent's WebSocket for `id`, which serves once, for the link that was asked. Whoever calls has
  /// verified token and link.
  [[nodiscard]] net::Response accept(const net::Request& request, LinkId link, Key128 id);

  /// Ends those that are open to this worker.
  void end(WorkerId worker);
  /// Ends all; opens none any more.
  void stop();

  [[nodiscard]] std::size_t open_now() const { return all_; }

 private:
  /// One of the limited places, from the asking to the end.
  class Place;
  struct Expected {
    explicit Expected(LinkId l) : link(l) {}
    LinkId link;
    std::shared_ptr<Place> place;
    std::unique_ptr<net::ByteStream> stream;  // when the agent has come
  };

  bool has_turn(WorkerId worker) const;
  awaitable<void> run(std::unique_ptr<net::WebSocket> socket, Key128 id, LinkId link);

  Runtime& runtime_;
  TunnelLimits limits_;
  Signal changed_;
  std::map<Key128, std::shared_ptr<Expected>> expected_;
  std::map<WorkerId, std::size_t> by_worker_;
  std::size_t all_ = 0;
  std::map<net::WebSocket*, WorkerId> sockets_;
  bool stopping_ = false;
};

}  // namespace atelier::gateway
