// SPDX-License-Identifier: MIT
#include "net/relay.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <memory>

#include "net/http_client.hpp"
#include "net_test_support.hpp"
#include "runtime/signal.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests
using net::test::RawPeer;

namespace {

/// A server whose WebSockets become a stream in memory: what a test holds of it.
struct TunnelRig {
  explicit TunnelRig(std::size_t fail_at = 0)
      : fails{.fail_at = fail_at}, server(runtime, {}, [this](Request&) { return accept(); }) {}
  ~TunnelRig() {
    asio::co_spawn(runtime.executor(), server.stop(runtime.now()), asio::detached);
    runtime.advance(milliseconds{10'000});
  }
  awaitable<Response> accept() {
    co_return Response::websocket([this](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      MemoryPair pair = make_memory_pair(runtime.executor(), fails);
      far = std::make_unique<RawPeer>(runtime, std::move(pair.second));
      co_await relay(runtime, std::move(socket), std::move(pair.first));
      over = true;
    });
  }
  /// The dialling side, relayed to another stream in memory.
  void dial() {
    MemoryPair wire = make_memory_pair(runtime.executor());
    server.serve(std::move(wire.first), {"192.0.2.1", 1});
    auto work = [](TunnelRig& rig, std::unique_ptr<ByteStream> stream) -> awaitable<void> {
      auto socket = co_await connect_websocket_over(rig.runtime, std::move(stream), "ws://h/t", {}, {},
                                                    rig.runtime.now() + milliseconds{5'000});
      if (!socket) throw std::runtime_error(socket.error().what);
      MemoryPair pair = make_memory_pair(rig.runtime.executor());
      rig.near = std::make_unique<RawPeer>(rig.runtime, std::move(pair.second));
      co_await relay(rig.runtime, std::move(*socket), std::move(pair.first));
    };
    asio::co_spawn(runtime.executor(), work(*this, std::move(wire.second)), asio::detached);
    for (int i = 0; i < 100 && !(near && far); ++i) runtime.advance(milliseconds{1});
    REQUIRE(near);
    REQUIRE(far);
  }
  void settle() {
    for (int i = 0; i < 10; ++i) runtime.advance(milliseconds{1});
  }

  MemoryPairOptions fails;
  VirtualRuntime runtime;
  HttpServer server;
  std::unique_ptr<RawPeer> near, far;
  bool over = false;
};

/// A WebSocket whose peer is the test.
struct Ends {
  explicit Ends(Runtime& runtime) : changed(runtime) {}
  void say(std::string text) {
    come.push_back(Message::text(std::move(text)));
    changed.notify_all();
  }
  void leave(CloseCode with, std::string why) {
    peer_code = with;
    peer_reason = std::move(why);
    over = true;
    changed.notify_all();
  }
  std::deque<Message> come;
  std::string went;
  bool over = false;
  CloseCode code = CloseCode::none, peer_code = CloseCode::none;  // of our close, of the peer's
  std::string reason, peer_reason;
  Signal changed;
};

class FakeSocket final : public WebSocket {
 public:
  explicit FakeSocket(Ends& ends) : ends_(ends) {}
  awaitable<Result<Message>> read(Instant deadline) override {
    while (ends_.come.empty()) {
      if (ends_.over) co_return fail(Errc::closed, "over");
      if (!co_await ends_.changed.wait(deadline)) co_return fail(Errc::timeout, "nothing came");
    }
    Message message = std::move(ends_.come.front());
    ends_.come.pop_front();
    co_return message;
  }
  awaitable<Result<void>> write(Message message, Instant) override {
    if (ends_.over) co_return fail(Errc::closed, "over");
    ends_.went += message.view();
    co_return Result<void>{};
  }
  awaitable<void> close(CloseCode code, std::string reason) override {
    if (!ends_.over) {
      ends_.code = code;
      ends_.reason = std::move(reason);
    }
    drop();
    co_return;
  }
  void drop() override {
    ends_.over = true;
    ends_.changed.notify_all();
  }
  [[nodiscard]] bool is_open() const override { return !ends_.over; }
  [[nodiscard]] CloseCode close_code() const override { return ends_.peer_code; }
  [[nodiscard]] std::string close_reason() const override { return ends_.peer_reason; }

 private:
  Ends& ends_;
};

std::string noise(std::size_t count) {
  std::string bytes(count, '\0');
  std::uint64_t state = 1;
  for (char& byte : bytes) byte = static_cast<char>((state = state * 6364136223846793005ULL + 1) >> 56);
  return bytes;
}

}  // namespace

TEST_CASE("bytes pass a relay both ways, also more than fits into anything on the way") {
  TunnelRig rig;
  rig.dial();
  rig.near->send("GET / HTTP/1.1\r\n\r\n");
  CHECK(rig.far->receive() == "GET / HTTP/1.1\r\n\r\n");
  rig.far->send("HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(rig.near->receive() == "HTTP/1.1 204 No Content\r\n\r\n");
  const std::string much = noise(3'000'000);
  std::string got;
  for (std::size_t at = 0; at < much.size(); at += 50'000) {
    rig.near->send(std::string_view(much).substr(at, 50'000));
    got += rig.far->receive();
  }
  got += rig.far->receive();
  CHECK((got == much));
}

TEST_CASE("a reader that is slow holds the writer back") {
  TunnelRig rig;
  rig.dial();
  const std::string piece(60'000, 'x');
  std::size_t taken = 0;
  for (int i = 0; i < 1'000; ++i) {
    const std::string_view bytes = piece;
    const Transfer transfer = rig.near->stream().try_write({&bytes, 1});
    if (transfer.state == Transfer::State::done) taken += transfer.bytes;
    rig.runtime.run_ready();
  }
  CHECK(taken > 60'000);
  CHECK(taken < 1'000'000);  // some buffers, not 60 MB
}

TEST_CASE("what came before the end of one side still arrives, then the other side ends") {
  for (const bool far_ends : {false, true}) {
    CAPTURE(far_ends);
    TunnelRig rig;
    rig.dial();
    auto& ends = far_ends ? rig.far : rig.near;
    auto& stays = far_ends ? rig.near : rig.far;
    ends->send(std::string(40'000, 'y') + "last");
    ends->close();
    rig.settle();
    CHECK(stays->receive().ends_with("yyylast"));
    CHECK(stays->ended());
    CHECK(rig.over);
  }
}

TEST_CASE("a stream that fails at any operation ends the relay, and the other side") {
  bool passed = false;
  for (std::size_t n = 1; n <= 100 && !passed; ++n) {
    CAPTURE(n);
    TunnelRig rig(n);
    rig.dial();
    for (int i = 0; i < 4; ++i) {
      rig.near->send("ping");
      rig.far->send("pong");
    }
    passed = rig.near->receive() == "pongpongpongpong" && rig.far->receive() == "pingpingpingping";
    if (passed) continue;
    rig.runtime.advance(milliseconds{10'000});
    CHECK(rig.over);
    CHECK(rig.near->ended());
  }
  CHECK(passed);  // in the end none of the operations was the failing one
}

TEST_CASE("a relay of two WebSockets passes messages and closing codes on, and ends at its deadline") {
  for (const char* who : {"one", "other", "nobody"}) {
    CAPTURE(who);
    VirtualRuntime runtime;
    Ends one(runtime), other(runtime);
    bool over = false;
    auto work = [](Runtime& by, Ends& first, Ends& second, bool& into) -> awaitable<void> {
      co_await relay(by, std::make_unique<FakeSocket>(first), std::make_unique<FakeSocket>(second),
                     by.now() + milliseconds{60'000});
      into = true;
    };
    asio::co_spawn(runtime.executor(), work(runtime, one, other, over), asio::detached);
    runtime.run_ready();
    one.say("a");
    other.say("b");
    one.say("c");
    runtime.advance(milliseconds{59'999});
    CHECK(other.went == "ac");
    CHECK(one.went == "b");
    CHECK_FALSE(over);
    if (who == std::string_view("one")) one.leave(CloseCode{4001}, "bye");
    if (who == std::string_view("other")) other.leave(CloseCode::abnormal, "");
    runtime.advance(milliseconds{who == std::string_view("nobody") ? 1 : 0});
    CHECK(over);
    if (who != std::string_view("one")) CHECK(one.code == CloseCode::going_away);
    if (who == std::string_view("one")) {
      CHECK(other.code == CloseCode{4001});
      CHECK(other.reason == "bye");
    }
    if (who == std::string_view("nobody")) CHECK(other.code == CloseCode::going_away);
  }
}

TEST_CASE("one request over a stream that is there already") {
  VirtualRuntime runtime;
  HttpClient client(runtime);
  MemoryPair pair = make_memory_pair(runtime.executor());
  RawPeer peer(runtime, std::move(pair.second));
  std::optional<Result<std::string>> body;
  auto work = [](HttpClient& by, std::unique_ptr<ByteStream> stream, Instant deadline,
                 std::optional<Result<std::string>>& into) -> awaitable<void> {
    ClientRequest request(Method::get, parse_url("http://h/x").value());
    auto answer = co_await by.request_over(std::move(stream), std::move(request), deadline);
    if (!answer) throw std::runtime_error(answer.error().what);
    into = co_await answer->read_all(100, deadline);
  };
  asio::co_spawn(runtime.executor(),
                 work(client, std::move(pair.first), runtime.now() + milliseconds{5'000}, body),
                 asio::detached);
  CHECK(peer.receive() == "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");  // and would keep it alive
  REQUIRE(body);
  CHECK(body->value() == "hi");
  CHECK(peer.ended());
}
