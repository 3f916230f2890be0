// SPDX-License-Identifier: MIT
#pragma once
// Small things done to JSON text of ComfyUI on its way to the link.

#include <optional>
#include <string>
#include <string_view>

namespace atelier::agent {

/// The text itself if it fits; else with its long strings cut ("... (N bytes left out)"), the longest allowed
/// length going down step by step. Nothing if it is not JSON or does not fit even so.
[[nodiscard]] std::optional<std::string> shorten_json(std::string_view text, std::size_t bytes_max);

/// What ComfyUI said when it refused a prompt (comfyui-interface.md C2): the first node with errors, and a
/// sentence.
struct Refusal {
  std::string node, node_type, type, sentence;
};
[[nodiscard]] Refusal read_refusal(std::string_view body);
/// The same of an answer that takes the prompt: some of its outputs do not run. Nothing if all of them do.
[[nodiscard]] std::optional<Refusal> read_refusal_in_part(std::string_view body);

}  // namespace atelier::agent
