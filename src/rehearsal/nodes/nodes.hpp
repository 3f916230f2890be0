// SPDX-License-Identifier: MIT
#pragma once
// Every node class of the engine; each is defined in the file of its family. The facts in their /object_info
// (types, defaults, ranges, names, categories) are those of ComfyUI 0.21.0, the help texts are ours.

#include "rehearsal/node.hpp"

namespace atelier::rehearsal {

[[nodiscard]] NodeClass load_image_node();
[[nodiscard]] NodeClass save_image_node();
[[nodiscard]] NodeClass preview_image_node();
[[nodiscard]] NodeClass image_scale_node();
[[nodiscard]] NodeClass image_invert_node();
[[nodiscard]] NodeClass image_batch_node();
[[nodiscard]] NodeClass empty_image_node();
[[nodiscard]] NodeClass image_crop_node();
[[nodiscard]] NodeClass solid_mask_node();
[[nodiscard]] NodeClass invert_mask_node();
[[nodiscard]] NodeClass mask_to_image_node();

}  // namespace atelier::rehearsal
