// SPDX-License-Identifier: MIT
// ImageScaleToTotalPixels: a batch at its own aspect with about so many million pixels.
#include <cmath>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

constexpr double kMegapixel = 1024.0 * 1024.0;

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const double wanted = call.number("megapixels") * kMegapixel;
  const double factor = std::sqrt(wanted / (static_cast<double>(image->width) * image->height));
  const auto steps = static_cast<double>(call.integer("resolution_steps"));
  auto scaled = resize_named(*image, std::nearbyint(image->width * factor / steps) * steps,
                             std::nearbyint(image->height * factor / steps) * steps,
                             call.text("upscale_method"), *call.watch);
  if (!scaled) return std::unexpected(std::move(scaled).error());
  return one_tensor(std::move(*scaled));
}

}  // namespace

NodeClass image_scale_to_total_pixels_node() {
  return {"ImageScaleToTotalPixels",
          R"info({"input":{"required":{"image":["IMAGE",{}],"upscale_method":["COMBO",{"multiselect":false,
"options":["nearest-exact","bilinear","area","bicubic","lanczos"]}],"megapixels":["FLOAT",{"default":1.0,
"min":0.01,"max":16.0,"step":0.01}],"resolution_steps":["INT",{"advanced":true,"default":1,"min":1,
"max":256}]}},"input_order":{"required":["image","upscale_method","megapixels","resolution_steps"]},
"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"ImageScaleToTotalPixels",
"display_name":"Scale Image to Total Pixels","description":"",
"python_module":"comfy_extras.nodes_post_processing","category":"image/upscaling","output_node":false,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":null,"essentials_category":null,"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
