// SPDX-License-Identifier: MIT
// Agent: a connection to one of its ComfyUIs for the gateway, which cannot reach it
// (docs/protocol/worker-link.md, "Tunnels").
#include <fmt/format.h>

#include "agent/agent_impl.hpp"
#include "base/log.hpp"
#include "net/relay.hpp"
#include "net/tls.hpp"
#include "net/websocket.hpp"

namespace atelier::agent {
namespace {

constexpr std::size_t kTunnelsMax = 32;  // above what a gateway asks for
constexpr std::size_t kMessageBytesMax = 64 << 10;
constexpr milliseconds kEngineLimit{5'000}, kGatewayLimit{10'000};
constexpr milliseconds kWriteStall{300'000};  // ComfyUI takes nothing while it loads a model

}  // namespace

void Agent::Impl::do_action(OpenTunnel&& action) {
  if (tunnels >= kTunnelsMax) {
    log::warn("tunnel_refused", {{"slot", action.slot}, {"open", tunnels}});
    return;
  }
  tasks.spawn("tunnel", tunnel(action));
}

awaitable<void> Agent::Impl::tunnel(OpenTunnel action) {
  struct Count {
    explicit Count(std::size_t& n) : open(n) { ++open; }
    ~Count() { --open; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    std::size_t& open;
  } const count(tunnels);
  const net::Url engine = engines[action.slot]->client.base();
  auto stream = co_await net::connect_url(runtime, engine, nullptr, runtime.now() + kEngineLimit);
  net::WebSocketLimits limits;
  limits.message_bytes_max = kMessageBytesMax;
  limits.write_stall = kWriteStall;
  const auto way = co_await gateway.tunnel(action.tunnel);
  if (!way) {
    log::warn("tunnel_failed", {{"slot", action.slot}, {"why", way.error().what}});
    co_return;
  }
  const net::Url& url = way->url;
  std::string address =
      fmt::format("{}://{}{}", url.scheme == "https" ? "wss" : "ws", url.authority(), url.target);
  auto dialled = co_await net::connect_websocket(runtime, std::move(address), way->headers, limits,
                                                 runtime.now() + kGatewayLimit, options.tls);
  if (!dialled) {
    log::warn("tunnel_failed", {{"slot", action.slot}, {"why", dialled.error().what}});
    co_return;
  }
  if (!stream) {
    // The gateway hears of it at once instead of waiting for a tunnel that never comes.
    log::warn("tunnel_failed", {{"slot", action.slot}, {"why", stream.error().what}});
    co_await (*dialled)->close(net::CloseCode::try_again_later, "ComfyUI cannot be reached");
    co_return;
  }
  co_await net::relay(runtime, std::move(*dialled), std::move(*stream));
}

}  // namespace atelier::agent
