// SPDX-License-Identifier: MIT
#pragma once
// The inputs that a node really has: V3's dynamic ones depend on the values given. For .cpp files only.

#include <boost/json.hpp>
#include <list>
#include <vector>

#include "comfy/object_info.hpp"

namespace atelier::comfy {

/// `all` points into the class, or into `made`.
struct EffectiveInputs {
  EffectiveInputs() = default;
  EffectiveInputs(EffectiveInputs&&) = default;
  EffectiveInputs& operator=(EffectiveInputs&&) = default;

  std::vector<const InputSpec*> all;  // required and optional
  std::list<InputSpec> made;          // inputs that came out of dynamic ones
  bool dynamic = false;               // ComfyUI then names a missing input by its last part only
};

[[nodiscard]] EffectiveInputs effective_inputs(const NodeClass& node_class,
                                               const boost::json::object& values);

/// COMFY_AUTOGROW_V3 and its kin.
[[nodiscard]] bool is_dynamic_type(std::string_view type);

}  // namespace atelier::comfy
