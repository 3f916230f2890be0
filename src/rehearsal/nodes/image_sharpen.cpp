// SPDX-License-Identifier: MIT
// ImageSharpen: every pixel moves away from the mean of its neighbourhood.
#include <algorithm>

#include "rehearsal/gaussian.hpp"
#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

// ComfyUI: the blur's weights times -10 alpha, with as much added in the middle that all sum up to 1.
constexpr double kStrength = 10;

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  auto blurred = gaussian_blur(*image, static_cast<std::uint32_t>(call.integer("sharpen_radius")),
                               call.number("sigma"), *call.watch);
  if (!blurred) return std::unexpected(std::move(blurred).error());
  const double strength = kStrength * call.number("alpha");
  for (std::size_t i = 0; i < image->samples.size(); ++i) {
    const double own = image->samples[i];
    const double sharpened = own + strength * (own - blurred->samples[i]);
    blurred->samples[i] = static_cast<float>(std::clamp(sharpened, 0.0, 1.0));
  }
  return one_tensor(std::move(*blurred));
}

}  // namespace

NodeClass image_sharpen_node() {
  return {
      "ImageSharpen",
      R"info({"input":{"required":{"image":["IMAGE",{}],"sharpen_radius":["INT",{"advanced":true,"default":1,
"min":1,
"max":31,"step":1}],"sigma":["FLOAT",{"advanced":true,"default":1.0,"min":0.1,"max":10.0,"step":0.01}],
"alpha":["FLOAT",{"advanced":true,"default":1.0,"min":0.0,"max":5.0,"step":0.01}]}},
"input_order":{"required":["image","sharpen_radius","sigma","alpha"]},"is_input_list":false,
"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],"output_tooltips":[null],
"output_matchtypes":null,"name":"ImageSharpen","display_name":"Sharpen Image","description":"",
"python_module":"comfy_extras.nodes_post_processing","category":"image/postprocessing","output_node":false,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":null,"essentials_category":null,"has_intermediate_output":false})info",
      false, run};
}

}  // namespace atelier::rehearsal
