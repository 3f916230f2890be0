// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "net/http.hpp"
#include "net/websocket.hpp"
#include "net/websocket_internal.hpp"
#include "net_test_support.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests
using net::test::RawPeer;
using net::test::VirtualServer;

namespace {

constexpr std::string_view kHandshake =
    "GET /ws?clientId=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame as a client sends it, masked with zeros. `first` = FIN, RSV and opcode bits.
std::string frame(unsigned first, std::string_view payload, bool masked = true) {
  std::string out(1, static_cast<char>(first));
  const unsigned mask = masked ? 0x80U : 0U;
  if (payload.size() < 126) {
    out.push_back(static_cast<char>(mask | payload.size()));
  } else if (payload.size() < 65536) {
    out.push_back(static_cast<char>(mask | 126U));
    out.push_back(static_cast<char>(payload.size() >> 8));
    out.push_back(static_cast<char>(payload.size() & 255));
  } else {
    out.push_back(static_cast<char>(mask | 127U));
    for (int shift = 56; shift >= 0; shift -= 8)
      out.push_back(static_cast<char>(payload.size() >> shift & 255));
  }
  if (masked) out.append(4, '\0');
  return out.append(payload);
}
std::string text_frame(std::string_view payload) { return frame(0x81, payload); }
std::string close_frame_payload(unsigned code, std::string_view reason = "") {
  return std::string{static_cast<char>(code >> 8), static_cast<char>(code & 255)}.append(reason);
}

/// What the server's echo saw at its end.
struct Seen {
  std::optional<Errc> end;
  CloseCode code = CloseCode::none;
  std::string reason;
};

Handler echo(std::shared_ptr<Seen> seen, WebSocketLimits limits = {}) {
  return [seen, limits](Request&) -> awaitable<Response> {
    auto run = [seen](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      while (true) {
        auto message = co_await socket->read(kNoDeadline);
        if (!message) {
          seen->end = message.error().code;
          seen->code = socket->close_code();
          seen->reason = socket->close_reason();
          co_return;
        }
        if (message->view() == "close me") {
          co_await socket->close(CloseCode::going_away, "bye");
          co_return;
        }
        if (!co_await socket->write(std::move(*message), kNoDeadline)) co_return;
      }
    };
    Response response = Response::websocket(std::move(run), limits);
    response.headers.add("X-Mine", "yes");
    co_return response;
  };
}

RawPeer open(VirtualServer& server, MemoryPairOptions options = {}) {
  RawPeer peer = server.connect(options);
  peer.send(kHandshake);
  const std::string answer = peer.receive();
  CHECK(answer.starts_with("HTTP/1.1 101 "));
  // RFC 6455 1.3 has this key and this answer.
  CHECK(answer.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
  CHECK(answer.find("X-Mine: yes") != std::string::npos);
  CHECK(answer.find("Sec-WebSocket-Extensions") == std::string::npos);
  return peer;
}

}  // namespace

TEST_CASE("messages are echoed, whole and in fragments, with pings between them") {
  auto seen = std::make_shared<Seen>();
  VirtualServer server(echo(seen));
  RawPeer peer = open(server);
  peer.send(text_frame("hello"));
  CHECK(peer.receive() == frame(0x81, "hello", false));
  peer.send(frame(0x02, "a") + frame(0x89, "ping") + frame(0x00, "") + frame(0x00, "b") + frame(0x80, "c"));
  CHECK(peer.receive() == frame(0x8a, "ping", false) + frame(0x82, "abc", false));
  const std::string big(100'000, 'x');
  peer.send(text_frame(big));
  CHECK(peer.receive() == frame(0x81, big, false));
  CHECK(server.server.counters().websockets_open == 1);
  peer.send(frame(0x88, close_frame_payload(1000, "done")));
  CHECK(peer.receive() == frame(0x88, close_frame_payload(1000), false));
  peer.close();
  server.runtime.advance(milliseconds{4000});
  CHECK(seen->end == Errc::closed);
  CHECK(seen->code == CloseCode::normal);
  CHECK(seen->reason == "done");
  CHECK(server.server.counters().websockets_open == 0);
}

TEST_CASE("frames that come with the handshake are not lost") {
  auto seen = std::make_shared<Seen>();
  VirtualServer server(echo(seen));
  RawPeer peer = server.connect();
  peer.send(std::string(kHandshake) + text_frame("early") + text_frame("bird"));
  CHECK(peer.receive().ends_with(frame(0x81, "early", false) + frame(0x81, "bird", false)));
}

TEST_CASE("a broken protocol is answered with its close code") {
  struct Row {
    std::string bytes;
    unsigned code;
    Errc end;
  };
  WebSocketLimits limits;
  limits.message_bytes_max = 1000;
  const Row rows[] = {
      {text_frame("\xff\xfe"), 1007, Errc::protocol},
      {frame(0x01, "\xc3") + frame(0x80, "("), 1007, Errc::protocol},
      {frame(0x01, "a\xc3") + frame(0x80, ""), 1007, Errc::protocol},
      {frame(0xc1, "x"), 1002, Errc::protocol},         // a reserved bit (no extension was negotiated)
      {frame(0x83, "x"), 1002, Errc::protocol},         // a reserved opcode
      {frame(0x81, "x", false), 1002, Errc::protocol},  // not masked
      {frame(0x80, "x"), 1002, Errc::protocol},         // a continuation of nothing
      {frame(0x01, "x") + frame(0x81, "y"), 1002, Errc::protocol},  // a new message inside another
      {frame(0x09, "x"), 1002, Errc::protocol},                     // a fragmented ping
      {frame(0x89, std::string(126, 'x')), 1002, Errc::protocol},   // a ping that is too long
      {frame(0x88, "x"), 1002, Errc::protocol},                     // a close frame of one byte
      {frame(0x88, close_frame_payload(1005)), 1002, Errc::protocol},
      {text_frame(std::string(1001, 'x')), 1009, Errc::too_large},
      {frame(0x01, std::string(600, 'x')) + frame(0x80, std::string(600, 'x')), 1009, Errc::too_large},
      {std::string("\x81\xff\x00\x00\x00\x00\x40\x00\x00\x00\0\0\0\0", 14), 1009,
       Errc::too_large},  // 1 GB declared
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes.substr(0, 20));
    auto seen = std::make_shared<Seen>();
    VirtualServer server(echo(seen, limits));
    RawPeer peer = open(server);
    peer.send(row.bytes);
    const std::string answer = peer.receive();
    REQUIRE(answer.size() >= 4);
    CHECK(static_cast<unsigned char>(answer[0]) == 0x88);
    CHECK(static_cast<unsigned char>(answer[2]) * 256 + static_cast<unsigned char>(answer[3]) == row.code);
    server.runtime.advance(milliseconds{6000});  // a peer that never ends its side does not hold us
    CHECK(peer.ended());
    CHECK(seen->end == row.end);
    CHECK(server.server.counters().connections_open == 0);
  }
}

TEST_CASE("a plain request for a WebSocket address is told so") {
  VirtualServer server(echo(std::make_shared<Seen>()));
  RawPeer peer = server.connect();
  peer.send("GET /ws HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string answer = peer.receive();
  CHECK(answer.starts_with("HTTP/1.1 426 "));
  CHECK(answer.find("Upgrade: websocket\r\n") != std::string::npos);
}

TEST_CASE("a silent peer is pinged and dropped, one that answers stays") {
  auto seen = std::make_shared<Seen>();
  VirtualServer server(echo(seen));
  RawPeer silent = open(server);
  RawPeer lively = open(server);
  const std::string ping = frame(0x89, "", false);
  for (int i = 0; i < 90; ++i) {
    server.runtime.advance(milliseconds{1000});
    if (lively.receive().find(ping) != std::string::npos) lively.send(frame(0x8a, ""));
  }
  CHECK(silent.receive() == ping + ping);
  CHECK(silent.ended());
  CHECK(seen->end == Errc::timeout);
  CHECK_FALSE(lively.ended());
  lively.send(text_frame("x"));
  CHECK(lively.receive() == frame(0x81, "x", false));
}

TEST_CASE("a peer that reads nothing is dropped after the write stall") {
  auto seen = std::make_shared<Seen>();
  auto written = std::make_shared<std::optional<Errc>>();
  auto handler = [written](Request&) -> awaitable<Response> {
    auto run = [written](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      const auto result = co_await socket->write(Message::binary(std::string(1 << 20, 'x')), kNoDeadline);
      *written = result ? std::optional<Errc>() : result.error().code;
    };
    co_return Response::websocket(std::move(run));
  };
  VirtualServer server(handler);
  MemoryPair pair = make_memory_pair(server.runtime.executor());
  server.server.serve(std::move(pair.first), {"192.0.2.1", 1});
  std::string_view handshake = kHandshake;
  static_cast<void>(pair.second->try_write({&handshake, 1}));
  server.runtime.advance(milliseconds{58'000});
  CHECK_FALSE(written->has_value());
  server.runtime.advance(milliseconds{6'000});
  CHECK(*written == Errc::timeout);
  CHECK(server.server.counters().connections_open == 0);
}

TEST_CASE("the server closes with code and reason, and waits a bounded time for the answer") {
  VirtualServer server(echo(std::make_shared<Seen>()));
  for (const bool answers : {true, false}) {
    RawPeer peer = open(server);
    peer.send(text_frame("close me"));
    CHECK(peer.receive() == frame(0x88, close_frame_payload(1001, "bye"), false));
    if (answers) {
      peer.send(frame(0x88, close_frame_payload(1001)));
      peer.finish();
    }
    server.runtime.advance(milliseconds{answers ? 100 : 9000});
    CHECK(peer.ended());
  }
  CHECK(server.server.counters().websockets_open == 0);
}

TEST_CASE("a read that timed out or was cancelled loses nothing") {
  std::vector<std::string> log;
  auto handler = [&](Request&) -> awaitable<Response> {
    auto run = [&](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      for (int i = 0; i < 4; ++i) {
        auto message = co_await socket->read(Instant{1'000'000 + 5'000});
        log.push_back(message ? std::string(message->view()) : std::string(to_string(message.error().code)));
        if (message) continue;
        message = co_await socket->read(kNoDeadline);
        log.push_back(message ? std::string(message->view()) : "ended");
        break;
      }
    };
    co_return Response::websocket(std::move(run));
  };
  VirtualServer server(handler);
  RawPeer peer = server.connect();
  peer.send(kHandshake);
  peer.send(text_frame("one") + frame(0x01, "tw"));
  server.runtime.advance(milliseconds{8000});
  peer.send(frame(0x80, "o"));
  CHECK(log == std::vector<std::string>{"one", "timeout", "two"});
}

TEST_CASE("the outgoing queue keeps order, replaces the latest and closes when too much waits") {
  auto queue = std::make_shared<std::unique_ptr<OutgoingQueue>>();
  VirtualRuntime* clock = nullptr;
  auto handler = [&clock, queue](Request&) -> awaitable<Response> {
    auto run = [&clock, queue](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      OutgoingLimits limits;
      limits.bytes_max = 300'000;
      limits.latest_bytes_max = 200'000;
      limits.large_bytes_max = 500'000;
      *queue = std::make_unique<OutgoingQueue>(*clock, *socket, limits);
      co_await (*queue)->run();
      queue->reset();
    };
    co_return Response::websocket(std::move(run));
  };
  VirtualServer server(handler);
  clock = &server.runtime;
  using Pushed = OutgoingQueue::Pushed;
  MemoryPair pair = make_memory_pair(server.runtime.executor());
  server.server.serve(std::move(pair.first), {"192.0.2.1", 1});
  std::string_view handshake = kHandshake;
  static_cast<void>(pair.second->try_write({&handshake, 1}));
  server.runtime.run_ready();
  REQUIRE(*queue);
  OutgoingQueue& q = **queue;
  CHECK(q.push(Message::binary(std::string(100'000, '0'))) == Pushed::queued);
  server.runtime.run_ready();  // the writer has taken it and is stuck in a pipe of 64 KB
  CHECK(q.bytes_waiting() == 0);
  CHECK(q.push(Message::text("state 1")) == Pushed::queued);
  CHECK(q.push_latest(Message::text("preview 1"), 7) == Pushed::queued);
  CHECK(q.push(Message::text("state 2")) == Pushed::queued);
  CHECK(q.push_latest(Message::text("preview 2!"), 7) == Pushed::replaced);
  CHECK(q.push_latest(Message::text("other"), 8) == Pushed::queued);
  CHECK(q.bytes_waiting() == 7 + 10 + 7 + 5);
  CHECK(q.push_latest(Message::text(std::string(250'000, 'x')), 9) == Pushed::dropped);

  RawPeer peer(server.runtime, std::move(pair.second));
  CHECK(peer.receive().ends_with(frame(0x81, "state 1", false) + frame(0x81, "preview 2!", false) +
                                 frame(0x81, "state 2", false) + frame(0x81, "other", false)));
  CHECK(q.bytes_waiting() == 0);
  CHECK(q.push_large(Message::binary(std::string(900'000, 'x'))) == Pushed::queued);
  server.runtime.run_ready();  // being written
  CHECK(q.push_large(Message::binary("1")) == Pushed::queued);
  CHECK(q.push(Message::text("state 3")) == Pushed::queued);
  CHECK(q.push_large(Message::binary("2")) == Pushed::queued);
  CHECK(q.bytes_waiting() == 7);
  CHECK(q.large_bytes_waiting() == 2);
  CHECK(peer.receive().ends_with(frame(0x82, "1", false) + frame(0x81, "state 3", false) +
                                 frame(0x82, "2", false)));
  CHECK(q.large_bytes_waiting() == 0);
  CHECK(q.push(Message::binary(std::string(250'000, 'x'))) == Pushed::queued);
  CHECK(q.push(Message::binary(std::string(100'000, 'x'))) == Pushed::closed);
  CHECK(q.overflowed());
  CHECK(q.push(Message::text("late")) == Pushed::closed);
  const std::string end = peer.receive();
  CHECK(end.find(close_frame_payload(1013)) != std::string::npos);
  CHECK(end.find("late") == std::string::npos);
  server.runtime.advance(milliseconds{10'000});
  CHECK_FALSE(*queue);
}

TEST_CASE("the outgoing queue has room for one large message of any size, and for more up to its limit") {
  VirtualRuntime clock;
  struct Nowhere final : WebSocket {
    awaitable<Result<Message>> read(Instant) override { co_return fail(Errc::closed, ""); }
    awaitable<Result<void>> write(Message, Instant) override { co_return Result<void>{}; }
    awaitable<void> close(CloseCode, std::string) override { co_return; }
    void drop() override {}
    [[nodiscard]] bool is_open() const override { return true; }
    [[nodiscard]] CloseCode close_code() const override { return CloseCode::none; }
    [[nodiscard]] std::string close_reason() const override { return {}; }
  } socket;
  OutgoingLimits limits;
  limits.large_bytes_max = 1'000;
  using Pushed = OutgoingQueue::Pushed;
  OutgoingQueue several(clock, socket, limits);
  CHECK(several.push_large(Message::binary(std::string(600, 'x'))) == Pushed::queued);
  CHECK(several.push_large(Message::binary(std::string(400, 'x'))) == Pushed::queued);
  CHECK(several.push(Message::text("state")) == Pushed::queued);
  CHECK(several.push_large(Message::binary("x")) == Pushed::closed);
  CHECK(several.overflowed());
  CHECK(several.large_bytes_waiting() == 0);
  OutgoingQueue one(clock, socket, limits);
  CHECK(one.push_large(Message::binary(std::string(9'000, 'x'))) == Pushed::queued);
  CHECK(one.push_large(Message::binary("x")) == Pushed::closed);
}

TEST_CASE("the outgoing queue ends with its socket") {
  bool ended = false;
  VirtualRuntime* clock = nullptr;
  auto handler = [&](Request&) -> awaitable<Response> {
    auto run = [&](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      OutgoingQueue queue(*clock, *socket);
      static_cast<void>(co_await socket->read(clock->now() + milliseconds{1000}));
      co_await queue.run();
      ended = true;
    };
    co_return Response::websocket(std::move(run));
  };
  VirtualServer server(handler);
  clock = &server.runtime;
  RawPeer peer = server.connect();
  peer.send(kHandshake);
  server.runtime.advance(milliseconds{5000});
  CHECK_FALSE(ended);
  peer.close();
  server.runtime.advance(milliseconds{1000});
  CHECK(ended);
}

TEST_CASE("a WebSocket over a stream that fails at any operation ends cleanly") {
  auto seen = std::make_shared<Seen>();
  const std::string traffic = text_frame("a") + frame(0x02, std::string(5000, 'x')) + frame(0x80, "b") +
                              frame(0x89, "p") + frame(0x88, close_frame_payload(1000));
  std::size_t operations = 0;
  for (std::size_t n = 0; n == 0 || n <= operations; ++n) {
    CAPTURE(n);
    VirtualServer server(echo(seen));
    RawPeer peer = server.connect({.read_bytes_max = 600, .write_bytes_max = 900, .fail_at = n});
    peer.send(std::string(kHandshake) + traffic);
    static_cast<void>(peer.receive());
    server.runtime.advance(milliseconds{10'000});
    if (n == 0) operations = *server.operations;
    CHECK(peer.ended());
    CHECK(server.server.counters().connections_open == 0);
  }
  CHECK(operations > 15);
}

TEST_CASE("our client talks to our server, both over memory") {
  auto seen = std::make_shared<Seen>();
  VirtualServer server(echo(seen));
  MemoryPair pair = make_memory_pair(server.runtime.executor(), {.read_bytes_max = 1000});
  server.server.serve(std::move(pair.second), {"192.0.2.1", 1});
  auto work = [&]() -> awaitable<void> {
    auto socket = co_await dial_websocket(std::move(pair.first), DeadlineSweep::make(server.runtime), "h",
                                          "/ws", HeaderList{{"Authorization", "Bearer x"}}, {},
                                          server.runtime.now() + milliseconds{5000});
    REQUIRE(socket.has_value());
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{130}, std::size_t{70'000}, std::size_t{900'000}}) {
      Message message = Message::binary(std::string(size, 'y'));
      const auto written = co_await (*socket)->write(message, kNoDeadline);
      CHECK(written.has_value());
      auto back = co_await (*socket)->read(server.runtime.now() + milliseconds{50'000});
      REQUIRE(back.has_value());
      CHECK(back->kind == MessageKind::binary);
      CHECK(back->view() == message.view());
    }
    co_await (*socket)->close(CloseCode::normal, std::string(200, 'r'));
    CHECK_FALSE((*socket)->is_open());
    const auto late = co_await (*socket)->write(Message::text("x"), kNoDeadline);
    CHECK(late.error().code == Errc::closed);
  };
  net::test::run_to_end(server.runtime, work());
  server.runtime.advance(milliseconds{5000});
  CHECK(seen->end == Errc::closed);
  CHECK(seen->code == CloseCode::normal);
  CHECK(seen->reason.size() == 123);
}
