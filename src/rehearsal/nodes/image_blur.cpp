// SPDX-License-Identifier: MIT
// ImageBlur: the mean of every pixel's neighbourhood.
#include "rehearsal/gaussian.hpp"
#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  auto blurred = gaussian_blur(*call.tensor("image"), static_cast<std::uint32_t>(call.integer("blur_radius")),
                               call.number("sigma"), *call.watch);
  if (!blurred) return std::unexpected(std::move(blurred).error());
  return one_tensor(std::move(*blurred));
}

}  // namespace

NodeClass image_blur_node() {
  return {
      "ImageBlur",
      R"info({"input":{"required":{"image":["IMAGE",{}],"blur_radius":["INT",{"default":1,"min":1,"max":31,
"step":1}],
"sigma":["FLOAT",{"default":1.0,"min":0.1,"max":10.0,"step":0.1}]}},"input_order":{"required":["image",
"blur_radius","sigma"]},"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],
"output_name":["IMAGE"],"output_tooltips":[null],"output_matchtypes":null,"name":"ImageBlur",
"display_name":"Image Blur","description":"","python_module":"comfy_extras.nodes_post_processing",
"category":"image/postprocessing","output_node":false,"deprecated":false,"experimental":false,
"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":null,"essentials_category":null,
"has_intermediate_output":false})info",
      false, run};
}

}  // namespace atelier::rehearsal
