// SPDX-License-Identifier: MIT
// ImageBlend: two batches mixed, the second first put through one of six rules.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "rehearsal/channels.hpp"
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

using Rule = float (*)(float below, float above);

float soft_light(float below, float above) {
  if (above <= 0.5F) return below - (1 - 2 * above) * below * (1 - below);
  const float bright =
      below <= 0.25F ? ((16 * below - 12) * below + 4) * below : std::sqrt(std::max(below, 0.0F));
  return below + (2 * above - 1) * (bright - below);
}

Rule find_rule(std::string_view mode) {
  if (mode == "normal") return [](float, float above) { return above; };
  if (mode == "multiply") return [](float below, float above) { return below * above; };
  if (mode == "screen") return [](float below, float above) { return 1 - (1 - below) * (1 - above); };
  if (mode == "overlay") {
    return [](float below, float above) {
      return below <= 0.5F ? 2 * below * above : 1 - 2 * (1 - below) * (1 - above);
    };
  }
  if (mode == "soft_light") return soft_light;
  if (mode == "difference") return [](float below, float above) { return below - above; };
  return nullptr;
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr below = call.tensor("image1");
  const Rule rule = find_rule(call.text("blend_mode"));
  if (rule == nullptr)
    return node_failure("ValueError", "unknown blend mode '" + call.text("blend_mode") + "'");
  Tensor above = with_channels(*call.tensor("image2"), below->channels);
  if (above.width != below->width || above.height != below->height) {
    auto fitted = resize(center_crop(above, below->width, below->height), below->width, below->height,
                         Scaling::bicubic, *call.watch);
    if (!fitted) return std::unexpected(std::move(fitted).error());
    above = std::move(*fitted);
  }
  if (above.frames != below->frames && above.frames != 1 && below->frames != 1) {
    return node_failure("RuntimeError",
                        fmt::format("{} and {} pictures cannot be blended", below->frames, above.frames));
  }
  auto blended =
      make_tensor(std::max(below->frames, above.frames), below->height, below->width, below->channels);
  if (!blended) return std::unexpected(std::move(blended).error());
  const double factor = call.number("blend_factor");
  const auto kept = static_cast<float>(1 - factor), mixed = static_cast<float>(factor);
  const std::size_t length = blended->frame_length();
  for (std::size_t frame = 0; frame < blended->frames; ++frame) {
    const float* from = below->samples.data() + (below->frames == 1 ? 0 : frame) * length;
    const float* other = above.samples.data() + (above.frames == 1 ? 0 : frame) * length;
    float* to = blended->samples.data() + frame * length;
    for (std::size_t i = 0; i < length; ++i) {
      to[i] = std::clamp(from[i] * kept + rule(from[i], other[i]) * mixed, 0.0F, 1.0F);
    }
    if (!call.watch->advance(frame + 1, blended->frames)) return interrupted();
  }
  return one_tensor(std::move(*blended));
}

}  // namespace

NodeClass image_blend_node() {
  return {"ImageBlend",
          R"info({"input":{"required":{"image1":["IMAGE",{}],"image2":["IMAGE",{}],"blend_factor":["FLOAT",
{"default":0.5,
"min":0.0,"max":1.0,"step":0.01}],"blend_mode":["COMBO",{"multiselect":false,"options":["normal","multiply",
"screen","overlay","soft_light","difference"]}]}},"input_order":{"required":["image1","image2",
"blend_factor","blend_mode"]},"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],
"output_name":["IMAGE"],"output_tooltips":[null],"output_matchtypes":null,"name":"ImageBlend",
"display_name":"Blend Images","description":"","python_module":"comfy_extras.nodes_post_processing",
"category":"image/postprocessing","output_node":false,"deprecated":false,"experimental":false,
"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":["mix images"],
"essentials_category":"Image Tools","has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
