// SPDX-License-Identifier: MIT
#pragma once
// HTTP/1.1 server: keep-alive, pipelining one after the other, WebSocket upgrades, strict parsing
// (reliability.md 46-53). One thread; time limits are checked once per second (net.md 2.7).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/result.hpp"
#include "net/http.hpp"
#include "net/tls.hpp"
#include "runtime/runtime.hpp"

namespace atelier::net {

struct ServerLimits {
  std::size_t head_bytes_max = 32 << 10;   // above: 431
  std::size_t headers_max = 100;           // above: 431
  std::size_t target_bytes_max = 8 << 10;  // above: 414
  milliseconds header_time{
      10'000};  // from the first byte of a head to its end, and from connect to the first head
  milliseconds idle_time{75'000};   // keep-alive
  milliseconds body_grace{10'000};  // of waiting for the peer, before the minimum rate counts
  std::size_t body_bytes_per_second_min = 1024;
  milliseconds body_idle{30'000};    // the longest single wait for body bytes
  milliseconds write_stall{60'000};  // without any progress
  std::size_t drain_bytes_max =
      256 << 10;  // unread body up to here is read and dropped, else the connection ends
  std::size_t connections_max = 20'000;
  /// 0 = no limit. Loopback is exempt.
  std::size_t connections_per_address_max = 0;
};

struct ServerCounters {
  std::size_t connections_open = 0;
  std::size_t websockets_open = 0;
  std::uint64_t connections = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t requests = 0;
  std::uint64_t bad_requests = 0;  // answered by the server itself with 4xx or 5xx before a handler saw them
  std::uint64_t handler_failures = 0;
  std::uint64_t timeouts = 0;
};

/// Gives the answer of one request. `request` lives until the answer has been sent, so a body stream may read
/// from it. An exception becomes a 500 and the log line `handler_failed`.
using Handler = std::function<awaitable<Response>(Request& request)>;

/// An answer that needs no waiting, made without a coroutine: true with `response` filled in, or false for
/// the Handler to see the request. Small answers cost a third less this way (docs/architecture.md).
using QuickHandler = std::function<bool(Request& request, Response& response)>;

/// A socket bound to an IP literal or "localhost", not listening yet: nobody can connect. Port 0 takes any.
/// Errors: config (port in use, not permitted, address not of this machine or not an address).
[[nodiscard]] Result<OwnedFd> bind_port(std::string_view address, std::uint16_t port);

struct ListenOptions {
  enum class Security { plain, tls, either };  // either: the peer's first byte decides
  Security security = Security::plain;
  std::shared_ptr<const TlsContext> tls;  // with `tls` and `either`
  std::uint64_t mark = 0;                 // handed to every request as Request::listener_mark
};

class HttpServer {
 public:
  HttpServer(Runtime& runtime, ServerLimits limits, Handler handler);
  /// Ends everything at once. Call stop() before, with the executor running.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Asked before the Handler.
  void set_quick_handler(QuickHandler quick);

  /// Listens on a bound socket and gives its port. Several may be added. Errors: config (another program was
  /// faster).
  [[nodiscard]] Result<std::uint16_t> listen(OwnedFd bound, ListenOptions options = {});
  /// bind_port and listen in one.
  [[nodiscard]] Result<std::uint16_t> listen(std::string_view address, std::uint16_t port);
  /// Serves a connected stream; `mark` as in ListenOptions.
  void serve(std::unique_ptr<ByteStream> stream, Peer peer, std::uint64_t mark = 0);

  /// Stops listening, ends idle connections, lets requests in flight finish with `Connection: close`, and
  /// cancels what is left at `deadline`. Whoever holds WebSockets closes them (1001) meanwhile. True if
  /// nothing was cancelled.
  [[nodiscard]] awaitable<bool> stop(Instant deadline);

  [[nodiscard]] ServerCounters counters() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace atelier::net
