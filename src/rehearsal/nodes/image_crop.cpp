// SPDX-License-Identifier: MIT
// ImageCrop: a rectangle of every picture; what lies outside is left out, at least one pixel remains.
#include <algorithm>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const std::int64_t x = std::min<std::int64_t>(call.integer("x"), std::int64_t{image->width} - 1);
  const std::int64_t y = std::min<std::int64_t>(call.integer("y"), std::int64_t{image->height} - 1);
  if (x < 0 || y < 0) return node_failure("RuntimeError", "the rectangle begins outside the picture");
  const std::int64_t width = std::clamp<std::int64_t>(call.integer("width"), 1, image->width - x);
  const std::int64_t height = std::clamp<std::int64_t>(call.integer("height"), 1, image->height - y);
  return one_tensor(cut(*image, static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y),
                        static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height)));
}

}  // namespace

NodeClass image_crop_node() {
  return {"ImageCrop", R"info({"input":{"required":{"image":["IMAGE",{}],
"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"height":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"x":["INT",{"default":0,"min":0,"max":16384,"step":1}],
"y":["INT",{"default":0,"min":0,"max":16384,"step":1}]}},
"input_order":{"required":["image","width","height","x","y"]},"is_input_list":false,"output":["IMAGE"],
"output_is_list":[false],"output_name":["IMAGE"],"output_tooltips":[null],"output_matchtypes":null,
"name":"ImageCrop",
"display_name":"Crop Image (DEPRECATED)","description":"","python_module":"comfy_extras.nodes_images",
"category":"image/transform","output_node":false,"deprecated":true,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["trim"],"essentials_category":"Image Tools",
"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
