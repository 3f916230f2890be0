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
[[nodiscard]] NodeClass image_flip_node();
[[nodiscard]] NodeClass image_rotate_node();
[[nodiscard]] NodeClass image_pad_for_outpaint_node();
[[nodiscard]] NodeClass resize_and_pad_image_node();
[[nodiscard]] NodeClass image_scale_by_node();
[[nodiscard]] NodeClass image_scale_to_total_pixels_node();
[[nodiscard]] NodeClass image_blend_node();
[[nodiscard]] NodeClass image_blur_node();
[[nodiscard]] NodeClass image_sharpen_node();
[[nodiscard]] NodeClass image_composite_masked_node();
[[nodiscard]] NodeClass porter_duff_image_composite_node();
[[nodiscard]] NodeClass split_image_with_alpha_node();
[[nodiscard]] NodeClass join_image_with_alpha_node();
[[nodiscard]] NodeClass image_to_mask_node();
[[nodiscard]] NodeClass image_from_batch_node();
[[nodiscard]] NodeClass repeat_image_batch_node();
[[nodiscard]] NodeClass image_quantize_node();
[[nodiscard]] NodeClass save_animated_png_node();
[[nodiscard]] NodeClass save_animated_webp_node();
[[nodiscard]] NodeClass create_video_node();
[[nodiscard]] NodeClass load_video_node();
[[nodiscard]] NodeClass get_video_components_node();
[[nodiscard]] NodeClass save_video_node();
[[nodiscard]] NodeClass save_webm_node();
[[nodiscard]] NodeClass crop_mask_node();
[[nodiscard]] NodeClass feather_mask_node();
[[nodiscard]] NodeClass grow_mask_node();
[[nodiscard]] NodeClass threshold_mask_node();
[[nodiscard]] NodeClass mask_composite_node();
[[nodiscard]] NodeClass image_color_to_mask_node();
[[nodiscard]] NodeClass image_scale_to_max_dimension_node();
[[nodiscard]] NodeClass load_image_mask_node();
[[nodiscard]] NodeClass image_crop_v2_node();
[[nodiscard]] NodeClass bounding_box_node();
[[nodiscard]] NodeClass mask_preview_node();

}  // namespace atelier::rehearsal
