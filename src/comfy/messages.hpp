// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's WebSocket messages (comfyui-interface.md B): printing them for a participant, reading an
// engine's. Builders return one whole text message; ids and texts may hold any UTF-8.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "comfy/json.hpp"

namespace atelier::comfy {

/// `{"type":type,"data":data}` with data as JSON text.
[[nodiscard]] std::string message(std::string_view type, std::string_view data_json);

/// sid only in the first message of a socket.
[[nodiscard]] std::string status_message(std::uint64_t queue_remaining,
                                         std::optional<std::string_view> sid = {});
[[nodiscard]] std::string feature_flags_message(std::string_view flags_json);
/// Times are unix milliseconds.
[[nodiscard]] std::string execution_start_message(std::string_view prompt_id, std::int64_t timestamp);
[[nodiscard]] std::string execution_cached_message(std::string_view prompt_id,
                                                   const std::vector<std::string>& nodes,
                                                   std::int64_t timestamp);
[[nodiscard]] std::string executing_message(std::string_view prompt_id, std::string_view node,
                                            std::string_view display_node);
/// `executing` with node null: the prompt is over and its history is there.
[[nodiscard]] std::string executing_end_message(std::string_view prompt_id);
/// What a socket gets that connects while its prompt runs: no prompt_id (server.py, websocket handler).
[[nodiscard]] std::string executing_on_connect_message(std::string_view node);
[[nodiscard]] std::string progress_message(std::string_view prompt_id, std::string_view node, double value,
                                           double max);
/// output_json: the node's ui, or "null" for a replayed node without one.
[[nodiscard]] std::string executed_message(std::string_view prompt_id, std::string_view node,
                                           std::string_view display_node, std::string_view output_json);
[[nodiscard]] std::string execution_success_message(std::string_view prompt_id, std::int64_t timestamp);

struct NodeProgress {
  std::string node_id, display_node_id, real_node_id;
  std::optional<std::string> parent_node_id;
  std::string state;  // running, finished, error
  double value = 0, max = 1;
};
[[nodiscard]] std::string progress_state_message(std::string_view prompt_id,
                                                 const std::vector<NodeProgress>& nodes);

struct ExecutionError {
  std::string node_id, node_type;
  std::vector<std::string> executed;
  std::string exception_message, exception_type;
  std::vector<std::string> traceback;
  Json current_inputs;  // object: name -> [text]; null prints as {}
  std::vector<std::string> current_outputs;
};
/// The data object alone serves history (`messages`) and /api/jobs.
[[nodiscard]] std::string execution_error_data(std::string_view prompt_id, const ExecutionError& error,
                                               std::int64_t timestamp);
[[nodiscard]] std::string execution_error_message(std::string_view prompt_id, const ExecutionError& error,
                                                  std::int64_t timestamp);
[[nodiscard]] std::string execution_interrupted_data(std::string_view prompt_id, std::string_view node_id,
                                                     std::string_view node_type,
                                                     const std::vector<std::string>& executed,
                                                     std::int64_t timestamp);
[[nodiscard]] std::string execution_interrupted_message(std::string_view prompt_id, std::string_view node_id,
                                                        std::string_view node_type,
                                                        const std::vector<std::string>& executed,
                                                        std::int64_t timestamp);

/// A text message of an engine or of a client.
struct Event {
  std::string type;
  Json data;                             // whatever stood under "data"; unknown fields are kept
  std::optional<std::string> prompt_id;  // data.prompt_id if it is a string
  std::optional<std::string> node;       // data.node, else data.node_id, if a string

  /// `executing` with node null: the end of a prompt.
  [[nodiscard]] bool ends_prompt() const;
  [[nodiscard]] std::string print() const;
  /// Another id in prompt_id, and in every entry of progress_state's nodes.
  void set_prompt_id(std::string_view id);
};
/// Errors: too_large, bad_request (not an object with a string `type`).
[[nodiscard]] Result<Event> parse_event(std::string_view text, const JsonLimits& limits = {});

/// Of the messages of ComfyUI itself (comfyui-interface.md B3), of its page and its Manager, and of this
/// server. All others are a custom node's own, for its part of the page.
[[nodiscard]] bool is_stock_event(std::string_view type);

// Binary frames (B4): first a big-endian uint32 with the kind.

enum class FrameKind : std::uint32_t { preview = 1, text = 3, preview_with_metadata = 4 };
enum class ImageFormat : std::uint32_t { jpeg = 1, png = 2 };

/// A decoded frame; views lead into the caller's bytes.
struct Frame {
  FrameKind kind = FrameKind::preview;
  std::string_view payload;                // image bytes, or the text
  ImageFormat format = ImageFormat::jpeg;  // previews; kind 4: by image_type
  std::string_view node;                   // kind 3
  std::string_view metadata;               // kind 4: JSON text

  /// A picture that a node sends as its result (SaveImageWebsocket), of which each is wanted. Of previews of
  /// a node at work only the newest matters: those come as JPEG in frames of kind 4.
  [[nodiscard]] bool is_result() const {
    return kind == FrameKind::preview ||
           (kind == FrameKind::preview_with_metadata && format == ImageFormat::png);
  }
};
/// Errors: protocol for a short frame, an unknown kind or format, a length beyond the end.
[[nodiscard]] Result<Frame> decode_frame(std::string_view bytes);
/// `rest` = what follows the kind.
[[nodiscard]] Result<Frame> decode_frame(std::uint32_t kind, std::string_view rest);
[[nodiscard]] std::string encode_preview(ImageFormat format, std::string_view image);
[[nodiscard]] std::string encode_text(std::string_view node, std::string_view text);
[[nodiscard]] std::string encode_preview_with_metadata(std::string_view metadata_json,
                                                       std::string_view image);

struct PreviewMetadata {
  std::string node_id, prompt_id, display_node_id, real_node_id;
  std::optional<std::string> parent_node_id;
  ImageFormat format = ImageFormat::jpeg;
};
[[nodiscard]] std::string preview_metadata_json(const PreviewMetadata& metadata);

/// Kind 4 -> kind 1, for clients that did not announce supports_preview_metadata. Errors: protocol.
[[nodiscard]] Result<std::string> to_legacy_preview(std::string_view frame);
[[nodiscard]] std::string to_legacy_preview(const Frame& frame);
/// A kind 4 frame with another prompt_id; frames of other kinds come back as they are. Errors: protocol.
[[nodiscard]] Result<std::string> frame_with_prompt_id(std::string_view frame, std::string_view prompt_id);
[[nodiscard]] Result<std::string> frame_with_prompt_id(const Frame& frame, std::string_view prompt_id);
/// The prompt_id inside a kind 4 frame, if it has one. Errors: protocol.
[[nodiscard]] Result<std::optional<std::string>> prompt_id_of_frame(std::string_view frame);

}  // namespace atelier::comfy
