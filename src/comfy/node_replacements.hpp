// SPDX-License-Identifier: MIT
#pragma once
// Old node classes that ComfyUI itself puts newer ones in place of (ComfyUI 0.21.0: GET /node_replacements,
// and its POST /prompt before validation).

#include <boost/json/fwd.hpp>
#include <string>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

/// The answer of GET /node_replacements: those whose new class the catalog has.
[[nodiscard]] std::string print_node_replacements(const ObjectInfo& info);

/// Puts the new class in place of every old one that the catalog does not have, if it has the new one. Inputs
/// go by the replacement's mapping; those that it does not name are gone, as there.
void replace_nodes(boost::json::object& prompt, const ObjectInfo& info);

}  // namespace atelier::comfy
