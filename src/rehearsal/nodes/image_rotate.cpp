// SPDX-License-Identifier: MIT
// ImageRotate: every picture turned clockwise by quarter turns; the samples themselves stay.
#include <algorithm>

#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

enum class Turn { none, quarter, half, three_quarters };

Turn parse_turn(std::string_view name) {
  if (name.starts_with("90")) return Turn::quarter;
  if (name.starts_with("180")) return Turn::half;
  if (name.starts_with("270")) return Turn::three_quarters;
  return Turn::none;
}

// The sample of the source that comes to stand at (x, y).
const float* source_of(const Tensor& image, std::size_t frame, Turn turn, std::size_t x, std::size_t y) {
  std::size_t from_x = x, from_y = y;
  if (turn == Turn::quarter) {
    from_x = y;
    from_y = image.height - 1 - x;
  } else if (turn == Turn::half) {
    from_x = image.width - 1 - x;
    from_y = image.height - 1 - y;
  } else if (turn == Turn::three_quarters) {
    from_x = image.width - 1 - y;
    from_y = x;
  }
  return image.samples.data() + frame * image.frame_length() + from_y * image.row_length() +
         from_x * image.channels;
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const Turn turn = parse_turn(call.text("rotation"));
  Tensor turned = *image;
  if (turn == Turn::quarter || turn == Turn::three_quarters) std::swap(turned.width, turned.height);
  float* to = turned.samples.data();
  for (std::size_t frame = 0; frame < turned.frames; ++frame) {
    for (std::size_t y = 0; y < turned.height; ++y) {
      for (std::size_t x = 0; x < turned.width; ++x) {
        to = std::copy_n(source_of(*image, frame, turn, x, y), image->channels, to);
      }
      if (!call.watch->advance(frame * turned.height + y + 1, std::uint64_t{turned.frames} * turned.height))
        return interrupted();
    }
  }
  return one_tensor(std::move(turned));
}

}  // namespace

NodeClass image_rotate_node() {
  return {"ImageRotate",
          R"info({"input":{"required":{"image":["IMAGE",{}],"rotation":["COMBO",{"multiselect":false,
"options":["none",
"90 degrees","180 degrees","270 degrees"]}]}},"input_order":{"required":["image","rotation"]},
"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"ImageRotate","display_name":"Rotate Image",
"description":"","python_module":"comfy_extras.nodes_images","category":"image/transform",
"output_node":false,"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,
"price_badge":null,"search_aliases":["turn","flip orientation"],"essentials_category":"Image Tools",
"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
