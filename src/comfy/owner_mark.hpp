// SPDX-License-Identifier: MIT
#pragma once
// Whose a cached result is. ComfyUI's cache knows a node by its class and its inputs, but not by the hidden
// ones: it would show a participant what a node said of another one's prompt or workflow
// (docs/decisions/comfy-2026-11-30-cached-texts-have-owners.md). Pure.

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

/// Gives an input with a mark of `owner` to each node whose class is handed the prompt or the workflow
/// (hidden PROMPT, DYNPROMPT, EXTRA_PNGINFO). The nodes never see it: it has the name of such a hidden input,
/// over which ComfyUI puts the hidden value, or one that V3 nodes are not handed. Facts from ComfyUI 0.21.0
/// and 0.38: comfy_execution/caching.py (get_immediate_node_signature), execution.py (get_input_data,
/// validate_inputs).
void mark_owner(boost::json::object& prompt, const ObjectInfo& info, std::string_view owner);

/// `text` without marks of any owner, and without the members that they are in JSON text (inside of other
/// JSON text, too) or in Python's own form.
[[nodiscard]] std::string without_owner_marks(std::string text);

}  // namespace atelier::comfy
