// SPDX-License-Identifier: MIT
// ImageScaleToMaxDimension: a batch at its own aspect whose longer side has a given length.
#include <cmath>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const auto largest = static_cast<double>(call.integer("largest_size"));
  const double old_width = image->width, old_height = image->height;
  double width = largest, height = largest;
  if (old_height > old_width) width = std::nearbyint(old_width / old_height * largest);
  if (old_width > old_height) height = std::nearbyint(old_height / old_width * largest);
  auto scaled = resize_named(*image, width, height, call.text("upscale_method"), *call.watch);
  if (!scaled) return std::unexpected(std::move(scaled).error());
  return one_tensor(std::move(*scaled));
}

}  // namespace

NodeClass image_scale_to_max_dimension_node() {
  return {"ImageScaleToMaxDimension",
          R"info({"input":{"required":{"image":["IMAGE",{}],"upscale_method":["COMBO",{"multiselect":false,
"options":["area",
"lanczos","bilinear","nearest-exact","bilinear","bicubic"]}],"largest_size":["INT",{"default":512,"min":0,
"max":16384,"step":1}]}},"input_order":{"required":["image","upscale_method","largest_size"]},
"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"ImageScaleToMaxDimension",
"display_name":"Scale Image to Max Dimension","description":"","python_module":"comfy_extras.nodes_images",
"category":"image/upscaling","output_node":false,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":null,"essentials_category":null,
"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
