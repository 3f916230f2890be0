// SPDX-License-Identifier: MIT
// TLS over in-memory streams and over loopback, server and client.
#include "net/tls.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>

#include "net/http_client.hpp"
#include "unit/net/net_test_support.hpp"
#include "unit/net/test_certificate.hpp"

namespace atelier::net {
namespace {

using Stream = std::unique_ptr<ByteStream>;
using test::TestCertificate;

std::shared_ptr<const TlsContext> server_context(const TestCertificate& certificate) {
  auto made = TlsContext::server(certificate.certificate_path(), certificate.key_path());
  REQUIRE(made.has_value());
  return *made;
}
std::shared_ptr<const TlsContext> client_context(const TestCertificate& certificate) {
  auto made = TlsContext::client(certificate.certificate_path());
  REQUIRE(made.has_value());
  return *made;
}

/// Answers as much as it is asked for: "/12345" gets 12,345 bytes.
awaitable<Response> sized(Request& request) {
  const auto body = co_await request.read_all(64 << 20);
  if (!body) co_return Response::text(400, body.error().what);
  Response response(200, "text/plain", std::string(std::stoul(request.target.substr(1)), 's'));
  response.headers.add("X-Got", fmt::format("{}", body->size()));
  response.headers.add("X-Secure", request.secure ? "yes" : "no");
  co_return response;
}

/// A server behind TLS in memory, and a client's stream to it.
struct SecurePair {
  explicit SecurePair(MemoryPairOptions options = {}) : server(runtime, {}, sized) {
    MemoryPair pair = make_memory_pair(runtime.executor(), options);
    operations = pair.operations;
    server.serve(make_tls_server_stream(std::move(pair.first), *server_context(certificate)),
                 {"192.0.2.1", 1});
    far = std::move(pair.second);
  }
  ~SecurePair() {
    asio::co_spawn(runtime.executor(), server.stop(runtime.now()), asio::detached);
    runtime.advance(milliseconds{10'000});
  }
  /// Sends a request by hand and gives all that comes until the server ends the connection; "" if it broke.
  std::string ask(std::string request) {
    std::string all;
    auto work = [&]() -> awaitable<void> {
      auto made = co_await make_tls_client_stream(runtime, std::move(far), client_context(certificate),
                                                  "localhost", runtime.now() + milliseconds{60'000});
      if (!made) {
        failure = made.error().what;
        co_return;
      }
      Stream stream = std::move(*made);
      std::string_view left = request;
      std::string buffer(64 << 10, '\0');
      while (true) {
        if (!left.empty()) {
          const Transfer sent = stream->try_write({&left, 1});
          if (sent.state == Transfer::State::failed) co_return;
          left.remove_prefix(sent.bytes);
        }
        const Transfer got = stream->try_read(buffer);
        if (got.state == Transfer::State::done) all.append(buffer.data(), got.bytes);
        if (got.state == Transfer::State::end || got.state == Transfer::State::failed) co_return;
        if (got.state == Transfer::State::would_block && left.empty() &&
            !co_await test::becomes_readable(*stream))
          co_return;
      }
    };
    test::run_to_end(runtime, work());
    return all;
  }
  TestCertificate certificate;
  VirtualRuntime runtime;
  HttpServer server;
  Stream far;
  std::shared_ptr<const std::size_t> operations;
  std::string failure;
};

TEST_CASE(
    "requests and answers of every size go through TLS whole, whatever pieces the network makes of them") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{1000}, SIZE_MAX}) {
    for (const std::size_t size : {0UL, 1UL, 16'383UL, 16'384UL, 16'385UL, 300'000UL}) {
      if (piece < 1000 && size > 20'000) continue;
      CAPTURE(piece);
      CAPTURE(size);
      MemoryPairOptions options;
      options.read_bytes_max = options.write_bytes_max = piece;
      SecurePair pair(options);
      const std::string all =
          pair.ask(fmt::format("POST /{} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n"
                               "Connection: close\r\n\r\n{}",
                               size, std::string(5000, 'b')));
      CHECK(pair.failure.empty());
      CHECK(all.starts_with("HTTP/1.1 200"));
      CHECK(all.find("X-Got: 5000\r\n") != std::string::npos);
      CHECK(all.find("X-Secure: yes\r\n") != std::string::npos);
      CHECK(all.size() - all.find("\r\n\r\n") - 4 == size);
    }
  }
}

TEST_CASE("a network that fails at any moment of a TLS connection ends it and nothing else") {
  const std::string request = "GET /40000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  std::size_t operations = 0;
  {
    SecurePair pair;
    CHECK(pair.ask(request).size() > 40'000);
    operations = *pair.operations;
  }
  for (std::size_t n = 1; n <= operations; ++n) {
    CAPTURE(n);
    MemoryPairOptions options;
    options.fail_at = n;
    SecurePair pair(options);
    CHECK(pair.ask(request).size() <= 41'000);
    pair.runtime.run_ready();
    CHECK(pair.server.counters().connections_open == 0);
  }
}

TEST_CASE("who speaks plain HTTP to a TLS port is told so, and nonsense just ends") {
  const TestCertificate certificate;
  const auto context = server_context(certificate);
  test::VirtualServer server(sized);
  const auto connect = [&] {
    MemoryPair pair = make_memory_pair(server.runtime.executor());
    server.server.serve(make_tls_server_stream(std::move(pair.first), *context), {"192.0.2.1", 1});
    return test::RawPeer(server.runtime, std::move(pair.second));
  };
  auto plain = connect();
  plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(plain.receive().starts_with("HTTP/1.1 400 Bad Request\r\n"));
  CHECK(plain.ended());
  auto nonsense = connect();
  nonsense.send(std::string(200, '\xff'));
  CHECK(nonsense.ended());
  auto cut = connect();
  cut.send(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9));  // the beginning of a hello, then silence
  CHECK_FALSE(cut.ended());
  server.runtime.advance(milliseconds{12'000});
  CHECK(cut.ended());
}

struct Certified {
  TestCertificate certificate;
};

/// A server on loopback behind TLS, or behind both.
struct Loopback : Certified, test::Loopback {
  explicit Loopback(ListenOptions::Security security, Handler handler = sized)
      : test::Loopback(std::move(handler), {}, ListenOptions{security, server_context(certificate), 7},
                       client_context(certificate)) {}
  [[nodiscard]] ClientRequest request(std::string scheme, std::string host, std::string target) const {
    return {Method::get, Url{std::move(scheme), std::move(host), port, std::move(target)}};
  }
};

TEST_CASE("https from client to server: kept connections, long bodies, names and addresses") {
  Loopback net(ListenOptions::Security::tls);
  net.run([&]() -> awaitable<void> {
    for (const std::string host : {"127.0.0.1", "localhost", "127.0.0.1"}) {
      auto answer = co_await net.client.request(net.request("https", host, "/3000000"), net.soon());
      REQUIRE(answer.has_value());
      CHECK(answer->headers.get("X-Secure") == "yes");
      const auto body = co_await answer->read_all(4 << 20, net.soon());
      CHECK((body.has_value() && body->size() == 3'000'000));
    }
    CHECK(net.server.counters().connections == 2);  // one of each name, the first used again
    const auto plain = co_await net.client.request(net.request("http", "127.0.0.1", "/1"), net.soon());
    CHECK((plain.has_value() && plain->status == 400));
  });
}

TEST_CASE("a certificate of somebody else is refused with the reason") {
  Loopback net(ListenOptions::Security::tls);
  net.run([&]() -> awaitable<void> {
    const TestCertificate other("DNS:elsewhere.example");
    HttpClient stranger(net.runtime, {}, client_context(other));
    const auto refused = co_await stranger.request(net.request("https", "localhost", "/1"), net.soon());
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::unauthorized);
    CHECK(refused.error().what.find("certificate of localhost") != std::string::npos);
    // The right authority, but another name than the certificate's.
    auto stream = co_await connect_tcp(net.runtime, "127.0.0.1", net.port, net.soon());
    REQUIRE(stream.has_value());
    const auto misnamed = co_await make_tls_client_stream(
        net.runtime, std::move(*stream), client_context(net.certificate), "workshop.example", net.soon());
    REQUIRE_FALSE(misnamed.has_value());
    CHECK(misnamed.error().code == Errc::unauthorized);
  });
}

TEST_CASE("one port takes TLS and plain HTTP by the first byte, and says which listener it was") {
  auto show = [](Request& request) -> awaitable<Response> {
    co_return Response::text(200, fmt::format("{} {}", request.secure, request.listener_mark));
  };
  Loopback net(ListenOptions::Security::either, show);
  net.run([&]() -> awaitable<void> {
    for (const std::string scheme : {"https", "http"}) {
      auto answer = co_await net.client.request(net.request(scheme, "127.0.0.1", "/"), net.soon());
      REQUIRE(answer.has_value());
      const auto body = co_await answer->read_all(100, net.soon());
      CHECK((body.has_value() && *body == (scheme == "https" ? "true 7" : "false 7")));
    }
  });
}

TEST_CASE("a WebSocket over TLS carries messages of every size both ways") {
  auto echo = [](Request&) -> awaitable<Response> {
    auto run = [](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      while (auto message = co_await socket->read(kNoDeadline)) {
        static_cast<void>(co_await socket->write(std::move(*message), kNoDeadline));
      }
    };
    WebSocketLimits limits;
    limits.message_bytes_max = 4 << 20;
    co_return Response::websocket(std::move(run), limits);
  };
  Loopback net(ListenOptions::Security::tls, echo);
  net.run([&]() -> awaitable<void> {
    WebSocketLimits limits;
    limits.message_bytes_max = 4 << 20;
    auto socket = co_await connect_websocket(net.runtime, fmt::format("wss://127.0.0.1:{}/ws", net.port), {},
                                             limits, net.soon(), client_context(net.certificate));
    REQUIRE(socket.has_value());
    for (const std::size_t size : {1UL, 125UL, 16'000UL, 70'000UL, 3'000'000UL}) {
      const auto written = co_await (*socket)->write(Message::binary(std::string(size, 'w')), net.soon());
      CHECK(written.has_value());
      const auto back = co_await (*socket)->read(net.soon());
      CHECK((back.has_value() && back->view().size() == size));
    }
    co_await (*socket)->close(CloseCode::normal, "");
  });
}

TEST_CASE("what is wrong with a certificate's files is said with the key of the configuration") {
  const TestCertificate certificate, other;
  const auto reason = [](const std::string& pem, const std::string& key) {
    const auto made = TlsContext::server(pem, key);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().code == Errc::config);
    return made.error().what;
  };
  CHECK(reason("/nowhere.pem", certificate.key_path()) ==
        "SSL_CERT_PATH: \"/nowhere.pem\": No such file or directory");
  CHECK(reason(certificate.key_path(), certificate.key_path()).starts_with("SSL_CERT_PATH: "));
  CHECK(reason(certificate.certificate_path(), certificate.certificate_path()).starts_with("SSL_KEY_PATH: "));
  CHECK(reason(certificate.certificate_path(), other.key_path()).find("is not that of the certificate") !=
        std::string::npos);
  CHECK_FALSE(TlsContext::client(certificate.key_path()).has_value());
}

}  // namespace
}  // namespace atelier::net
