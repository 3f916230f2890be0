// SPDX-License-Identifier: MIT
// ImageScale: a batch to another size, by one of five filters, cut to the new aspect if asked for.
#include <algorithm>
#include <cmath>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

// The size that was left at 0 follows the other one; rounded half to even, as Python does.
std::uint32_t follow(std::uint32_t own, std::uint32_t other, std::int64_t other_wanted) {
  const double size = std::nearbyint(static_cast<double>(own * other_wanted) / other);
  return static_cast<std::uint32_t>(std::clamp(size, 1.0, 2e9));
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const std::int64_t wanted_width = call.integer("width"), wanted_height = call.integer("height");
  const auto scaling = parse_scaling(call.text("upscale_method"));
  if (!scaling)
    return node_failure("ValueError", "unknown scaling method '" + call.text("upscale_method") + "'");
  if (wanted_width == 0 && wanted_height == 0) {
    NodeOutput output;
    output.values.emplace_back(image);
    return output;
  }
  const std::uint32_t width = wanted_width == 0 ? follow(image->width, image->height, wanted_height)
                                                : static_cast<std::uint32_t>(wanted_width);
  const std::uint32_t height = wanted_height == 0 ? follow(image->height, image->width, wanted_width)
                                                  : static_cast<std::uint32_t>(wanted_height);
  auto scaled = call.text("crop") == "center"
                    ? resize(center_crop(*image, width, height), width, height, *scaling, *call.watch)
                    : resize(*image, width, height, *scaling, *call.watch);
  if (!scaled) return std::unexpected(std::move(scaled).error());
  return one_tensor(std::move(*scaled));
}

}  // namespace

NodeClass image_scale_node() {
  return {"ImageScale", R"({"input":{"required":{"image":["IMAGE"],
"upscale_method":[["nearest-exact","bilinear","area","bicubic","lanczos"]],
"width":["INT",{"default":512,"min":0,"max":16384,"step":1}],
"height":["INT",{"default":512,"min":0,"max":16384,"step":1}],
"crop":[["disabled","center"]]}},
"input_order":{"required":["image","upscale_method","width","height","crop"]},"is_input_list":false,
"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],"name":"ImageScale",
"display_name":"Upscale Image","description":"","python_module":"nodes","category":"image/upscaling",
"output_node":false,"has_intermediate_output":false,
"search_aliases":["resize","resize image","scale image","image resize","zoom","zoom in","change size"],
"essentials_category":"Image Tools"})",
          false, run};
}

}  // namespace atelier::rehearsal
