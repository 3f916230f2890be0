// SPDX-License-Identifier: MIT
#pragma once
// The body of POST /prompt (comfyui-interface.md C1): parsed once, kept whole, refused in ComfyUI's own
// words.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "comfy/json.hpp"

namespace atelier::comfy {

struct PromptLimits {
  std::size_t bytes_max = 8u << 20;
  std::size_t depth_max = 64;
  std::size_t nodes_max = 5000;
  std::size_t prompt_id_bytes_max = 256;
};

/// What a client is told instead of a prompt_id. `body()` is ComfyUI's
/// `{"error":{"type","message","details","extra_info"},"node_errors":{}}`.
struct PromptError {
  Errc code = Errc::bad_prompt;  // too_large for a byte, depth or node limit; all else bad_prompt
  std::string type, message, details;
  Json extra_info;   // object
  Json node_errors;  // object

  [[nodiscard]] std::string body() const;
};

/// A posted prompt. `prompt` has at least the shape of ComfyUI's API graph (an object whose values are
/// objects); everything else about it is for validate().
struct PromptRequest {
  Json prompt;  // node id -> {class_type, inputs, _meta?}
  std::optional<std::string>
      prompt_id;  // absent: the caller makes a UUID. null counts as absent (as ComfyUI 0.38)
  std::optional<std::string> client_id;  // if it was a string; whatever it was stands in extra_data.client_id
  std::optional<double> number;          // the client's own; echoed as a Python float
  bool front = false;
  Json extra_data;  // object; with client_id, without the two secrets
  Json secrets;     // object: auth_token_comfy_org, api_key_comfy_org; never stored or shown
  std::optional<std::vector<std::string>> partial_execution_targets;

  /// extra_data.extra_pnginfo.workflow.id if it is a string.
  [[nodiscard]] std::optional<std::string> workflow_id() const;
  /// Sets extra_data.create_time (unix milliseconds), which ComfyUI does for accepted prompts only.
  void set_create_time(std::int64_t unix_ms);
};

/// Limits are checked before and while parsing. Any prompt_id value is stringified as Python's str() does
/// (0.21).
[[nodiscard]] std::expected<PromptRequest, PromptError> parse_prompt_request(std::string_view body,
                                                                             const PromptLimits& limits = {});

}  // namespace atelier::comfy
