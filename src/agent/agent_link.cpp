// SPDX-License-Identifier: MIT
// Agent: the socket to the gateway.
#include <fmt/format.h>

#include "agent/agent_impl.hpp"
#include "agent/link_queue.hpp"
#include "base/log.hpp"
#include "link/codec.hpp"
#include "net/websocket.hpp"

namespace atelier::agent {
namespace {

constexpr milliseconds kConnectLimit{15'000};
constexpr milliseconds kReadTurn{60'000};

bool is_refusal(Errc code) {
  return code == Errc::unauthorized || code == Errc::forbidden || code == Errc::not_found ||
         code == Errc::protocol || code == Errc::config;
}

}  // namespace

awaitable<Result<std::unique_ptr<net::WebSocket>>> Agent::Impl::connect_link(std::string address,
                                                                             net::WebSocketLimits limits) {
  for (bool again = true;; again = false) {
    ATELIER_CO_TRY(const std::string bearer, co_await credentials.bearer());
    net::HeaderList headers;
    headers.add("Authorization", "Bearer " + bearer);
    headers.add("Atelier-Protocol", fmt::format("{}", link::kProtocolVersion));
    headers.add("Atelier-Worker", options.name);
    auto connected = co_await net::connect_websocket(runtime, address, std::move(headers), limits,
                                                     runtime.now() + kConnectLimit, options.tls);
    if (connected || connected.error().code != Errc::unauthorized) co_return connected;
    // A gateway that was started anew knows no session.
    if (!credentials.refused(bearer) || !again) co_return connected;
  }
}

awaitable<void> Agent::Impl::dial() {
  const std::uint64_t generation = ++link_generation;
  net::Url url = options.join;
  while (url.target.ends_with('/')) url.target.pop_back();
  std::string address =
      fmt::format("{}://{}{}/worker/link", url.scheme == "https" ? "wss" : "ws", url.authority(), url.target);
  net::WebSocketLimits limits;
  limits.message_bytes_max = link::kTextBytesMax;
  auto connected = co_await connect_link(std::move(address), limits);
  if (!connected) {
    feed(LinkDown{connected.error().what, is_refusal(connected.error().code)});
    co_return;
  }
  std::unique_ptr<net::WebSocket> open = std::move(*connected);
  net::OutgoingQueue queue(runtime, *open, link_limits());
  outgoing = &queue;
  socket = open.get();
  link_over = false;
  {
    TaskGroup writers(runtime);
    writers.spawn("write link", queue.run());
    feed(LinkUp{disk_free(), runtime.wall().ms});
    std::exception_ptr broken;
    try {
      co_await read_link(*open, generation);
    } catch (...) {
      broken = std::current_exception();  // cancelled: the writer must end before queue and socket do
    }
    outgoing = nullptr;
    socket = nullptr;
    open->drop();
    (void)co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    (void)co_await writers.stop(runtime.now() + milliseconds(3'000));
    link_over = true;
    changed.notify_all();
    if (broken) std::rethrow_exception(broken);
  }
}

awaitable<void> Agent::Impl::read_link(net::WebSocket& open, std::uint64_t generation) {
  std::string why;
  for (;;) {
    auto message = co_await open.read(runtime.now() + kReadTurn);
    if (!message && message.error().code == Errc::timeout && open.is_open()) {
      // Control frames do not end a read: the socket's own pings watch over a silent peer.
      continue;
    }
    if (!message) {
      why = message.error().what;
      if (!open.close_reason().empty()) why = open.close_reason();
      if (message.error().code == Errc::cancelled) co_return;
      break;
    }
    if (!hear(*message, why)) {
      log::error("gateway_message_refused", {{"why", why}});
      co_await open.close(net::CloseCode::protocol_error, why.substr(0, 120));
      break;
    }
  }
  if (generation == link_generation) {
    outgoing = nullptr;  // nothing of what follows may be sent on the dead link
    feed(LinkDown{why, false, open.close_code() == net::CloseCode{link::kNameTakenCode}});
  }
}

bool Agent::Impl::hear(const net::Message& message, std::string& why) {
  if (message.kind != net::MessageKind::text) {
    why = "the gateway sends text frames only";
    return false;
  }
  auto decoded = link::decode_gateway(message.view());
  if (!decoded) {
    why = decoded.error().what;
    return false;
  }
  if (const auto* welcome = std::get_if<link::Welcome>(&*decoded)) {
    auto base = resolve_blob_url(options.join, welcome->blob_url);
    if (!base) {
      why = "welcome.blob_url: " + base.error().what;
      return false;
    }
    gateway.set_link(std::move(*base), welcome->link);
  }
  feed(FromGateway{std::move(*decoded)});
  return true;
}

}  // namespace atelier::agent
