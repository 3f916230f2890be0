// SPDX-License-Identifier: MIT
// ImageFlip: every picture upside down or as in a mirror; the samples themselves stay.
#include <algorithm>

#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const std::string method = call.text("flip_method");
  Tensor flipped = *image;
  const bool rows = method.starts_with('x'), columns = method.starts_with('y');
  for (std::size_t frame = 0; frame < image->frames; ++frame) {
    for (std::size_t y = 0; y < image->height; ++y) {
      const std::size_t from_y = rows ? image->height - 1 - y : y;
      const float* from =
          image->samples.data() + frame * image->frame_length() + from_y * image->row_length();
      float* to = flipped.samples.data() + frame * image->frame_length() + y * image->row_length();
      for (std::size_t x = 0; x < image->width; ++x) {
        const std::size_t from_x = columns ? image->width - 1 - x : x;
        std::copy_n(from + from_x * image->channels, image->channels, to + x * image->channels);
      }
    }
    if (!call.watch->advance(frame + 1, image->frames)) return interrupted();
  }
  return one_tensor(std::move(flipped));
}

}  // namespace

NodeClass image_flip_node() {
  return {"ImageFlip",
          R"info({"input":{"required":{"image":["IMAGE",{}],"flip_method":["COMBO",{"multiselect":false,
"options":["x-axis: vertically","y-axis: horizontally"]}]}},"input_order":{"required":["image",
"flip_method"]},"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"ImageFlip","display_name":"Flip Image",
"description":"","python_module":"comfy_extras.nodes_images","category":"image/transform",
"output_node":false,"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,
"price_badge":null,"search_aliases":["mirror","reflect"],"essentials_category":null,
"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
