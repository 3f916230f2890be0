// SPDX-License-Identifier: MIT
#pragma once
// The text that an input gets by a link from ComfyUI's own text nodes, as far as it stands in the prompt.

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>

namespace atelier::comfy {

class PromptGraph;

/// Of a link to a PrimitiveString, a PrimitiveStringMultiline or a StringConcatenate (ComfyUI 0.21.0,
/// nodes_primitive.py, nodes_string.py) whose own texts are literals or such links: what comes out of it.
/// Nothing for any other node, and for more than 100 nodes or 4,096 bytes.
[[nodiscard]] std::optional<std::string> joined_text(const PromptGraph& graph,
                                                     const boost::json::value& link);

}  // namespace atelier::comfy
