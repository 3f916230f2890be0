// SPDX-License-Identifier: MIT
#pragma once
// TLS 1.2 and 1.3 over any ByteStream, server and client side (net.md 2.6). One thread.

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "net/byte_stream.hpp"
#include "runtime/runtime.hpp"

namespace atelier::net {

struct Url;

/// What a side of TLS knows: its certificate, or whom it trusts. Shared by all connections, never changed.
class TlsContext {
 public:
  /// `certificate_path`: PEM file with the certificate, then its chain; `key_path`: PEM file with its private
  /// key, without a pass phrase. TLS 1.2 at least, ALPN http/1.1, one session ticket per handshake.
  /// Errors: config (a file that cannot be read, is not PEM, or a key that is not the certificate's).
  [[nodiscard]] static Result<std::shared_ptr<const TlsContext>> server(const std::string& certificate_path,
                                                                        const std::string& key_path);
  /// Verifies the server's certificate and its name. Trusts the system's authorities, or only those in the
  /// PEM file `authorities_path` if that is not "". Errors: config.
  [[nodiscard]] static Result<std::shared_ptr<const TlsContext>> client(
      const std::string& authorities_path = "");
  virtual ~TlsContext() = default;
};

/// The server's end. The handshake happens within the first reads and writes. A peer that speaks plain HTTP
/// gets a plain answer 400 that says so.
[[nodiscard]] std::unique_ptr<ByteStream> make_tls_server_stream(std::unique_ptr<ByteStream> stream,
                                                                 const TlsContext& context);

/// The server's end for a peer that may speak TLS or plain: its first byte decides.
[[nodiscard]] std::unique_ptr<ByteStream> make_tls_or_plain_server_stream(
    std::unique_ptr<ByteStream> stream, std::shared_ptr<const TlsContext> context);

/// The client's end, handshake done. `host` (name or IP literal) is what the certificate must be for.
/// Errors: unauthorized (the certificate: the sentence says what is wrong with it), protocol (no TLS there),
/// timeout, closed.
[[nodiscard]] awaitable<Result<std::unique_ptr<ByteStream>>> make_tls_client_stream(
    Runtime& runtime, std::unique_ptr<ByteStream> stream, std::shared_ptr<const TlsContext> context,
    std::string host, Instant deadline);

/// Connects to the host and port of `url`, with TLS if its scheme is https or wss. `context` may be nothing:
/// then the system's authorities are trusted. Errors: as connect_tcp and make_tls_client_stream, config.
[[nodiscard]] awaitable<Result<std::unique_ptr<ByteStream>>> connect_url(
    Runtime& runtime, const Url& url, std::shared_ptr<const TlsContext> context, Instant deadline);

}  // namespace atelier::net
