// SPDX-License-Identifier: MIT
#pragma once
// Node classes that are not the same on all engines: another version of ComfyUI or of a pack has other
// choices, or wants another input (docs/decisions/comfy-2026-11-30-classes-that-differ.md). Pure.

#include <string>
#include <vector>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

class PromptGraph;

/// "CLIPLoader#0123456789abcdef": the class, and a hash of what makes a prompt fit it: inputs, types,
/// choices. Lists of the participant's files and of models are no part of it.
[[nodiscard]] std::string variant_name(const NodeClass& node_class);
/// Of all classes, sorted.
[[nodiscard]] std::vector<std::string> variant_names(const ObjectInfo& info);
/// "CLIPLoader#0123456789abcdef" -> "CLIPLoader"; any other name stays as it is.
[[nodiscard]] std::string class_of_variant(std::string name);

/// What an engine must have, beside the prompt's classes, to take it: nothing if all of those that were
/// merged into `merged` and have the classes take it, or none does. Of several that do the first one is
/// chosen.
struct NeededVariants {
  std::vector<std::string> names;
  std::size_t source = 0;  // of merged.sources(), the chosen one
};
[[nodiscard]] NeededVariants needed_variants(const PromptGraph& graph, const ObjectInfo& merged);

}  // namespace atelier::comfy
