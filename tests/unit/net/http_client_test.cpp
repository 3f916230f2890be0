// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "net/http_client.hpp"
#include "net/http_server.hpp"
#include "net_test_support.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests

namespace {

struct Loopback : test::Loopback {
  using test::Loopback::Loopback;
  [[nodiscard]] Url url(std::string target) const { return {"http", "127.0.0.1", port, std::move(target)}; }
};

awaitable<Response> handler(Request& request) {
  if (request.path() == "/echo") {
    auto body = co_await request.read_all(64 << 20);
    if (!body) co_return Response::text(400, body.error().what);
    Response response(200, "text/plain", *std::move(body));
    response.headers.add("X-Method", to_string(request.method));
    response.headers.add("X-Peer", request.peer.address);
    response.headers.add("X-Seen-Host", request.host);
    co_return response;
  }
  if (request.path() == "/chunked") {
    PullStream next = [left = 5]() mutable -> awaitable<Result<std::string>> {
      co_return left-- > 0 ? std::string(100'000, 'c') : std::string();
    };
    co_return Response(200, "text/plain", StreamBody(std::move(next)));
  }
  if (request.path() == "/refuse") {
    Response response = Response::text(413, "too much");
    co_return response;
  }
  if (request.path() == "/bye") {
    Response response = Response::text(200, "bye");
    response.close_connection = true;
    co_return response;
  }
  co_return Response::text(404, "nothing here");
}

/// A socket that accepts on loopback at `port`.
OwnedFd listening_socket(std::uint16_t& port) {
  OwnedFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(listener.get(), 4) == 0);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return listener;
}

OwnedFd file_of(std::size_t bytes) {
  OwnedFd fd(::memfd_create("test", MFD_CLOEXEC));
  const std::string content(bytes, 'f');
  REQUIRE(::write(fd.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  return fd;
}

}  // namespace

TEST_CASE("all kinds of bodies travel from the client to the server and back") {
  Loopback net(handler);
  net.run([&]() -> awaitable<void> {
    PullStream pull = [left = 3]() mutable -> awaitable<Result<std::string>> {
      co_return left-- > 0 ? std::string(70'000, 'p') : std::string();
    };
    PullStream known = [left = 3]() mutable -> awaitable<Result<std::string>> {
      co_return left-- > 0 ? std::string(7, 'k') : std::string();
    };
    std::vector<std::pair<Body, std::string>> bodies;
    bodies.emplace_back(std::monostate{}, "");
    bodies.emplace_back(std::string("text"), "text");
    bodies.emplace_back(SharedBody(std::make_shared<const std::string>(std::string(3 << 20, 's'))),
                        std::string(3 << 20, 's'));
    bodies.emplace_back(FileBody(file_of(5 << 20), 1000, 4 << 20), std::string(4 << 20, 'f'));
    bodies.emplace_back(FileBody(file_of(5000), 1000, 4000), std::string(4000, 'f'));
    bodies.emplace_back(StreamBody(std::move(pull)), std::string(210'000, 'p'));
    bodies.emplace_back(StreamBody(std::move(known), 21), std::string(21, 'k'));
    for (auto& [body, expected] : bodies) {
      ClientRequest request(Method::post, net.url("/echo"));
      request.body = std::move(body);
      auto response = co_await net.client.request(std::move(request), net.soon());
      REQUIRE(response.has_value());
      CHECK(response->status == 200);
      CHECK(response->headers.get("X-Method") == "POST");
      CHECK(response->headers.get("X-Peer") == "127.0.0.1");
      CHECK(response->headers.get("X-Seen-Host") == fmt::format("127.0.0.1:{}", net.port));
      auto back = co_await response->read_all(64 << 20, net.soon());
      REQUIRE(back.has_value());
      CHECK((*back == expected));
    }
    CHECK(net.server.counters().connections == 1);
  });
}

TEST_CASE("chunked answers, HEAD and limits of the client") {
  Loopback net(handler);
  net.run([&]() -> awaitable<void> {
    auto chunked = co_await net.client.request(ClientRequest(Method::get, net.url("/chunked")), net.soon());
    REQUIRE(chunked.has_value());
    CHECK_FALSE(chunked->content_length.has_value());
    const auto all = co_await chunked->read_all(1 << 20, net.soon());
    CHECK((all.has_value() && *all == std::string(500'000, 'c')));
    auto again = co_await net.client.request(ClientRequest(Method::get, net.url("/chunked")), net.soon());
    const auto too_large = co_await again->read_all(1000, net.soon());
    CHECK(too_large.error().code == Errc::too_large);
    auto head = co_await net.client.request(ClientRequest(Method::head, net.url("/x")), net.soon());
    REQUIRE(head.has_value());
    CHECK(head->status == 404);
    CHECK(head->content_length == 12);
    const auto nothing = co_await head->read_all(1000, net.soon());
    CHECK((nothing.has_value() && nothing->empty()));
  });
}

TEST_CASE("a connection that is closed after its answer, or dead in the pool, is replaced") {
  ServerLimits limits;
  Loopback net(handler, limits);
  net.run([&]() -> awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      auto response = co_await net.client.request(ClientRequest(Method::get, net.url("/bye")), net.soon());
      REQUIRE(response.has_value());
      const auto body = co_await response->read_all(100, net.soon());
      CHECK(body.value() == "bye");
    }
    CHECK(net.server.counters().connections == 3);
  });
}

TEST_CASE("a request whose pooled connection breaks is repeated, but not with a long body") {
  constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
  for (const std::size_t bytes : {std::size_t{1000}, std::size_t{64 << 10}, std::size_t{8 << 20}}) {
    CAPTURE(bytes);
    const bool repeated = bytes <= 64 << 10;
    RealRuntime runtime;
    std::uint16_t port = 0;
    const OwnedFd listener = listening_socket(port);
    const auto take = [](int fd) {
      char buffer[1000];
      return ::recv(fd, buffer, sizeof buffer, 0) > 0;
    };
    // Answers one request, breaks the connection in the next one, and takes another only if one should come.
    auto fake = [&, take] {
      OwnedFd peer(::accept(listener.get(), nullptr, nullptr));
      static_cast<void>(take(peer.get()));
      static_cast<void>(::send(peer.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL));
      static_cast<void>(take(peer.get()));
      peer = OwnedFd();
      if (!repeated) return;
      OwnedFd next(::accept(listener.get(), nullptr, nullptr));
      static_cast<void>(take(next.get()));
      static_cast<void>(::send(next.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL));
      while (take(next.get())) {
      }
    };
    std::thread peer(fake);
    {
      HttpClient client(runtime);
      auto work = [&]() -> awaitable<void> {
        const Url url{"http", "127.0.0.1", port, "/"};
        const Instant soon = runtime.now() + milliseconds{10'000};
        auto first = co_await client.request(ClientRequest(Method::get, url), soon);
        REQUIRE(first.has_value());
        const auto read = co_await first->read_all(10, soon);
        CHECK(read.has_value());
        ClientRequest put(Method::put, url);
        put.body = std::string(bytes, 'x');
        const auto second = co_await client.request(std::move(put), soon);
        CHECK(second.has_value() == repeated);
        if (!second) CHECK(second.error().code == Errc::closed);
      };
      test::run_to_end(runtime, work());
    }
    peer.join();
    pollfd waiting{listener.get(), POLLIN, 0};
    CHECK(::poll(&waiting, 1, 0) == 0);  // nobody else has come
  }
}

TEST_CASE("an answer that comes while a long body is still being sent is seen") {
  Loopback net(handler);
  net.run([&]() -> awaitable<void> {
    ClientRequest request(Method::put, net.url("/refuse"));
    request.body = std::string(30 << 20, 'x');
    auto response = co_await net.client.request(std::move(request), net.soon());
    REQUIRE(response.has_value());
    CHECK(response->status == 413);
  });
}

TEST_CASE("what cannot be reached is said") {
  RealRuntime runtime;
  HttpClient client(runtime);
  std::uint16_t free_port = 0;
  {
    HttpServer server(runtime, {}, handler);
    free_port = server.listen("127.0.0.1", 0).value();
  }
  auto work = [&]() -> awaitable<void> {
    const Instant soon = runtime.now() + milliseconds{10'000};
    const auto refused =
        co_await client.request(ClientRequest(Method::get, Url{"http", "127.0.0.1", free_port, "/"}), soon);
    CHECK(refused.error().code == Errc::unavailable);
    const auto unnamed =
        co_await client.request(ClientRequest(Method::get, Url{"http", "999.1.1.1", 1, "/"}), soon);
    CHECK(unnamed.error().code == Errc::not_found);
  };
  test::run_to_end(runtime, work());
}

TEST_CASE("a silent server is a timeout, garbage is a protocol error, a broken body is closed") {
  std::map<std::string, std::pair<std::string, Errc>> cases{
      {"garbage", {"SSH-2.0-x\r\n\r\n", Errc::protocol}},
      {"two lengths", {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", Errc::protocol}},
      {"status below 100", {"HTTP/1.1 020 OK\r\n\r\n", Errc::protocol}},
      {"nothing but interim answers", {std::string(), Errc::protocol}},
      {"early end", {"", Errc::closed}},
      {"short body", {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", Errc::closed}},
      {"bad chunk", {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Errc::protocol}}};
  for (int i = 0; i < 20; ++i) cases.at("nothing but interim answers").first += "HTTP/1.1 102 x\r\n\r\n";
  for (const auto& [name, row] : cases) {
    CAPTURE(name);
    RealRuntime runtime;
    std::uint16_t port = 0;
    const OwnedFd listener = listening_socket(port);
    HttpClient client(runtime);
    Result<std::string> result = std::string();
    auto fake = [&, bytes = row.first] {
      OwnedFd peer(::accept(listener.get(), nullptr, nullptr));
      char buffer[1000];
      static_cast<void>(::recv(peer.get(), buffer, sizeof buffer, 0));
      static_cast<void>(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL));
      return true;
    };
    auto work = [&]() -> awaitable<void> {
      // Moved: its thread may still be in send() when the client is done.
      runtime.file_pool().post([fake = std::move(fake)]() mutable { static_cast<void>(fake()); });
      const Url url{"http", "127.0.0.1", port, "/"};
      auto response =
          co_await client.request(ClientRequest(Method::post, url), runtime.now() + milliseconds{10'000});
      if (!response) {
        result = std::unexpected(response.error());
        co_return;
      }
      result = co_await response->read_all(1000, runtime.now() + milliseconds{10'000});
    };
    test::run_to_end(runtime, work());
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == row.second);
  }
}

TEST_CASE("a listener says why it cannot listen") {
  RealRuntime runtime;
  HttpServer first(runtime, {}, handler), second(runtime, {}, handler);
  const auto port = first.listen("localhost", 0);
  REQUIRE(port.has_value());
  const auto taken = second.listen("127.0.0.1", *port);
  REQUIRE_FALSE(taken.has_value());
  CHECK(taken.error().code == Errc::config);
  CHECK(taken.error().what == fmt::format("port {} on 127.0.0.1 is in use by another program", *port));
  CHECK(second.listen("not an address", 1).error().code == Errc::config);
  CHECK(second.listen("203.0.113.7", 0).error().what == "203.0.113.7 is not an address of this machine");
}

TEST_CASE("WebSockets over loopback, and refusals with their text") {
  auto ws_handler = [](Request& request) -> awaitable<Response> {
    if (request.headers.get("Authorization") != "Bearer good") co_return Response::text(401, "wrong token");
    auto run = [](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      while (true) {
        auto message = co_await socket->read(kNoDeadline);
        if (!message) co_return;
        static_cast<void>(co_await socket->write(std::move(*message), kNoDeadline));
      }
    };
    co_return Response::websocket(std::move(run));
  };
  Loopback net(ws_handler);
  net.run([&]() -> awaitable<void> {
    const std::string url = fmt::format("ws://127.0.0.1:{}/worker/link", net.port);
    const auto refused = co_await connect_websocket(net.runtime, url, HeaderList{}, {}, net.soon());
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::unauthorized);
    CHECK(refused.error().what.find("wrong token") != std::string::npos);
    HeaderList headers{{"Authorization", "Bearer good"}};
    auto socket = co_await connect_websocket(net.runtime, url, headers, {}, net.soon());
    REQUIRE(socket.has_value());
    for (int i = 0; i < 200; ++i) {
      const auto written = co_await (*socket)->write(
          Message::text(std::string(static_cast<std::size_t>(i) * 50, 'w')), net.soon());
      CHECK(written.has_value());
      const auto back = co_await (*socket)->read(net.soon());
      CHECK((back.has_value() && back->view().size() == static_cast<std::size_t>(i) * 50));
    }
    co_await (*socket)->close(CloseCode::normal, "");
  });
}
