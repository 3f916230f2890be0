// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only: one connection of HttpServer, from its first byte to its end.

#include <memory>
#include <string>

#include "net/http_server.hpp"
#include "net/message_io.hpp"

namespace atelier::net {

/// What all connections of a server share.
struct ServerShared {
  ServerShared(Runtime& r, ServerLimits l, Handler h);
  Runtime& runtime;
  ServerLimits limits;
  Handler handler;
  QuickHandler quick;  // may be empty
  std::shared_ptr<DeadlineSweep> sweep;
  ServerCounters counters;
  bool stopping = false;
};

class ServerConnection {
 public:
  ServerConnection(ServerShared& shared, std::unique_ptr<ByteStream> stream, Peer peer, std::uint64_t mark);

  /// Serves until the connection ends.
  [[nodiscard]] awaitable<void> run();
  /// Ends it now if it waits for a request, else after the answer under way.
  void stop();
  /// At once.
  void close();

 private:
  enum class Next { request, close, gone, websocket };  // gone: nothing can be sent any more

  awaitable<Next> serve_one();
  awaitable<Next> refuse(HeadError error);
  awaitable<Next> answer(Request& request, const RequestHead& head, MessageBody& body);
  awaitable<Response> handle(Request& request);
  bool answers_quickly(Request& request, Response& response);
  Response failed(const Request& request, const std::string& reason);
  awaitable<Next> send(Request& request, const RequestHead& head, MessageBody& body, Response response);
  awaitable<Next> upgrade(Request& request, Response response);
  awaitable<void> run_websocket();
  awaitable<bool> drain(MessageBody& body);
  awaitable<void> linger();
  void write_head(const Response& response, std::optional<std::uint64_t> length, bool chunked, bool keep,
                  bool old_peer);
  HeadLimits head_limits() const;
  SendLimits send_limits() const { return {shared_.limits.write_stall, kNoDeadline}; }

  ServerShared& shared_;
  TimedStream stream_;
  MessageInput input_;
  Peer peer_;
  std::uint64_t mark_;
  bool idle_ = true;  // no byte of a request has come
  bool released_ = false;
  Instant opened_;
  std::uint64_t served_ = 0;
  std::string head_;  // of the answer under way
  // What a WebSocket needs once its handshake is answered; the request and its coroutines are gone by then.
  std::unique_ptr<WebSocket> websocket_;
  Upgrade run_upgraded_;
  std::string upgraded_path_;
};

}  // namespace atelier::net
