// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only: one connection of HttpServer, from its first byte to its end.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

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
  struct Outgoing {
    bool chunked = false;
    bool keep = true;  // the connection lives on
  };

  awaitable<Next> serve_one();
  awaitable<Next> refuse(HeadError error);
  awaitable<Response> handle(Request& request);
  bool answers_quickly(Request& request, Response& response);
  Response failed(const Request& request, const std::string& reason);
  /// Nothing if the request may become a WebSocket.
  static std::optional<Response> refuse_upgrade(const Request& request, const RequestHead& head);
  /// Makes framing and head of an answer.
  Outgoing begin_answer(const Request& request, const RequestHead& head, const MessageBody& body,
                        Response& response);
  awaitable<Next> finish_answer(Request& request, MessageBody& body, Response& response, Outgoing outgoing,
                                std::array<std::string_view, 2> buffers);
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
