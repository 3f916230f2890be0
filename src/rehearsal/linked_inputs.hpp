// SPDX-License-Identifier: MIT
#pragma once
// The inputs of a node whose kind only another node can make: pictures, masks, videos, sound, rectangles.

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "rehearsal/node.hpp"

namespace atelier::comfy {
struct NodeClass;
}

namespace atelier::rehearsal {

/// An output of another node. A slot below 0 counts from the last output.
struct Link {
  std::string node;
  std::int64_t slot = 0;
};
/// None: a constant.
[[nodiscard]] std::optional<Link> as_link(const boost::json::value& value);

/// Makes sure that every such input of `call` holds its kind, so that nodes can rely on it; takes out those
/// optional ones that are None. `given` is the node's `inputs` in the prompt, with constants as they came.
///
/// ComfyUI 0.21.0: validate_inputs (execution.py) lets any constant pass where it knows no rule for a type,
/// and the node then fails in Python, mostly with an AttributeError. The failure here has the same look.
[[nodiscard]] std::optional<NodeFailure> check_linked_inputs(const comfy::NodeClass& declared,
                                                             const boost::json::object& given,
                                                             NodeCall& call);

}  // namespace atelier::rehearsal
