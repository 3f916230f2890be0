// SPDX-License-Identifier: MIT
// ImageScaleBy: a batch made larger or smaller by a factor.
#include <cmath>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const double factor = call.number("scale_by");
  // Half to even, as Python rounds; a picture of no pixels fails in the resize.
  auto scaled =
      resize_named(*image, std::nearbyint(image->width * factor), std::nearbyint(image->height * factor),
                   call.text("upscale_method"), *call.watch);
  if (!scaled) return std::unexpected(std::move(scaled).error());
  return one_tensor(std::move(*scaled));
}

}  // namespace

NodeClass image_scale_by_node() {
  return {"ImageScaleBy",
          R"info({"input":{"required":{"image":["IMAGE"],"upscale_method":[["nearest-exact","bilinear","area",
"bicubic",
"lanczos"]],"scale_by":["FLOAT",{"default":1.0,"min":0.01,"max":8.0,"step":0.01}]}},
"input_order":{"required":["image","upscale_method","scale_by"]},"is_input_list":false,"output":["IMAGE"],
"output_is_list":[false],"output_name":["IMAGE"],"name":"ImageScaleBy","display_name":"Upscale Image By",
"description":"","python_module":"nodes","category":"image/upscaling","output_node":false,
"has_intermediate_output":false,"search_aliases":[],"essentials_category":"Image Tools"})info",
          false, run};
}

}  // namespace atelier::rehearsal
