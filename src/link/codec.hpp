// SPDX-License-Identifier: MIT
#pragma once
// Messages of the worker link to frames and back. Text frames are JSON objects {"type":"hello", ...}; a
// Preview is a binary frame of its own layout (docs/protocol/worker-link.md). Pure functions, any thread; no
// input makes them throw.

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "link/messages.hpp"

namespace atelier::link {

/// JSON text of any message but Preview (use encode_preview). The caller keeps within the limits of
/// messages.hpp: strings that are not UTF-8 are written with U+FFFD in the place of each wrong byte.
[[nodiscard]] std::string encode(const AgentMessage& message);
[[nodiscard]] std::string encode(const GatewayMessage& message);

/// Errors: protocol for an unknown type ("unknown message type \"x\""), a missing field, a wrong type, a
/// number or a list out of its bounds (the text names message and field); too_large above kTextBytesMax.
/// Unknown fields are ignored.
[[nodiscard]] Result<AgentMessage> decode_agent(std::string_view text);
[[nodiscard]] Result<GatewayMessage> decode_gateway(std::string_view text);

/// 24 bytes big endian: u32 1 (2 if more of the frame follows) | u64 job | u64 epoch | u32 ComfyUI's event
/// id; then the rest of ComfyUI's frame, or a part of it.
[[nodiscard]] std::string encode_preview(const Preview& preview);
[[nodiscard]] Result<Preview> decode_preview(std::string_view bytes);

/// The value of "type" on the wire.
[[nodiscard]] std::string_view type_of(const AgentMessage& message);
[[nodiscard]] std::string_view type_of(const GatewayMessage& message);

}  // namespace atelier::link
