// SPDX-License-Identifier: MIT
#pragma once
// HTTP/1.1 client with a small keep-alive pool per origin, http and https. One thread.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "net/http.hpp"
#include "net/tls.hpp"
#include "runtime/runtime.hpp"

namespace atelier::net {

struct ClientLimits {
  std::size_t head_bytes_max = 64 << 10;
  std::size_t idle_connections_per_origin_max = 4;
  milliseconds idle_time{30'000};  // an older idle connection is not used again
  milliseconds connect_time{10'000};
  milliseconds stall{60'000};  // longest single wait for the peer while a body moves, either way
};

struct ClientRequest {
  ClientRequest(Method request_method, Url address) : method(request_method), url(std::move(address)) {}
  Method method = Method::get;
  Url url;
  /// Host, Content-Length and Transfer-Encoding are added; User-Agent is not.
  HeaderList headers;
  Body body;
};

/// Read the body to its end to give the connection back to the pool; dropping the response closes it.
class ClientResponse {
 public:
  ClientResponse(unsigned code, HeaderList fields, std::optional<std::uint64_t> length,
                 std::unique_ptr<BodyReader> reader)
      : status(code), headers(std::move(fields)), content_length(length), body_(std::move(reader)) {}

  unsigned status;
  HeaderList headers;
  std::optional<std::uint64_t> content_length;  // nothing: chunked, or until the connection ends

  /// At least one byte, or 0 at the end. Errors: closed (broke off), timeout, protocol, cancelled.
  [[nodiscard]] awaitable<Result<std::size_t>> read(std::span<char> into, Instant deadline) {
    return body_->read(into, deadline);
  }
  [[nodiscard]] awaitable<Result<std::string>> read_all(std::uint64_t bytes_max, Instant deadline) {
    return net::read_all(*body_, content_length, bytes_max, deadline);
  }
  [[nodiscard]] BodyReader& body() { return *body_; }

 private:
  std::unique_ptr<BodyReader> body_;
};

class HttpClient {
 public:
  /// `tls`: whom https servers are believed by; nothing: the system's authorities.
  explicit HttpClient(Runtime& runtime, ClientLimits limits = {},
                      std::shared_ptr<const TlsContext> tls = nullptr);
  /// Requests under way go on with what they hold.
  ~HttpClient();

  /// Gives the answer's head; `deadline` covers everything up to it (connect, request body, head). No
  /// redirects, no cookies, no decompression. A pooled connection that turns out dead before any byte of the
  /// answer came is replaced once, if the method is idempotent (all but POST and PATCH) and the body is no
  /// stream and at most 64 KB. Errors: not_found (name), unavailable (refused), unauthorized (its
  /// certificate), timeout, closed, protocol, cancelled.
  [[nodiscard]] awaitable<Result<ClientResponse>> request(ClientRequest request, Instant deadline);
  /// The same over a stream that is there already and that serves this one request.
  [[nodiscard]] awaitable<Result<ClientResponse>> request_over(std::unique_ptr<ByteStream> stream,
                                                               ClientRequest request, Instant deadline);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace atelier::net
