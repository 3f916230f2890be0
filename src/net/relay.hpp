// SPDX-License-Identifier: MIT
#pragma once
// Copies between two connections until either ends: what a tunnel is made of. One thread.

#include <memory>

#include "net/byte_stream.hpp"
#include "net/websocket.hpp"

namespace atelier::net {

/// Bytes from `stream` become binary messages of at most 64 KB, the bytes of messages go into `stream`, each
/// read only when the one before has been taken. What came before an end still arrives; then both are closed.
/// There is no limit of time but those of the socket (pings, write_stall).
[[nodiscard]] awaitable<void> relay(Runtime& runtime, std::unique_ptr<WebSocket> socket,
                                    std::unique_ptr<ByteStream> stream);

/// The same with messages as they are, until `deadline` at most. Each side is closed with the code and reason
/// of the other, or with 1001.
[[nodiscard]] awaitable<void> relay(Runtime& runtime, std::unique_ptr<WebSocket> one,
                                    std::unique_ptr<WebSocket> other, Instant deadline);

}  // namespace atelier::net
