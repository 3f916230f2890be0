// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only: how the server makes a WebSocket of a connection.

#include <memory>
#include <string>

#include "net/deadline_sweep.hpp"
#include "net/http.hpp"
#include "net/websocket.hpp"

namespace atelier::net {

/// Answers the handshake in `request` with 101 and `headers`. `first_bytes` came after the request's head.
[[nodiscard]] awaitable<Result<std::unique_ptr<WebSocket>>> accept_websocket(
    std::unique_ptr<ByteStream> stream, std::shared_ptr<DeadlineSweep> sweep, const Request& request,
    const HeaderList& headers, WebSocketLimits limits, std::string first_bytes);

/// The client's side over a connected stream. `host` for the Host header.
[[nodiscard]] awaitable<Result<std::unique_ptr<WebSocket>>> dial_websocket(
    std::unique_ptr<ByteStream> stream, std::shared_ptr<DeadlineSweep> sweep, std::string host,
    std::string target, HeaderList headers, WebSocketLimits limits, Instant deadline);

}  // namespace atelier::net
