// SPDX-License-Identifier: MIT
#pragma once
// The inputs that a node really has: V3's dynamic ones depend on the values given. For .cpp files only.

#include <boost/json.hpp>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

struct EffectiveInputs {
  /// What the values made of dynamic inputs.
  struct Expanded {
    std::vector<const InputSpec*> all;  // into the class, or into `made`
    std::list<InputSpec> made;
  };
  std::span<const InputSpec* const> all;  // required and optional: the class's own list, or `expanded`
  std::unique_ptr<Expanded> expanded;     // null: the class has no dynamic inputs
  bool dynamic = false;                   // ComfyUI then names a missing input by its last part only
};

[[nodiscard]] EffectiveInputs effective_inputs(const NodeClass& node_class,
                                               const boost::json::object& values);

/// COMFY_AUTOGROW_V3 and its kin.
[[nodiscard]] bool is_dynamic_type(std::string_view type);

}  // namespace atelier::comfy
