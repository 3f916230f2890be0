// SPDX-License-Identifier: MIT
// MaskComposite: two masks in one. ImageColorToMask: where a picture has a colour.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

struct Operation {
  std::string_view name;
  float (*join)(float below, float above);
};
bool is_set(float sample) { return std::nearbyint(sample) != 0; }  // 0.5 is not
constexpr std::array<Operation, 6> kOperations{{
    {"multiply", [](float below, float above) { return below * above; }},
    {"add", [](float below, float above) { return below + above; }},
    {"subtract", [](float below, float above) { return below - above; }},
    {"and", [](float below, float above) { return is_set(below) && is_set(above) ? 1.0F : 0.0F; }},
    {"or", [](float below, float above) { return is_set(below) || is_set(above) ? 1.0F : 0.0F; }},
    {"xor", [](float below, float above) { return is_set(below) != is_set(above) ? 1.0F : 0.0F; }},
}};

NodeResult<NodeOutput> run_composite(const NodeCall& call) {
  Tensor mask = *call.tensor("destination");
  const TensorPtr source = call.tensor("source");
  const auto operation = std::ranges::find(kOperations, call.text("operation"), &Operation::name);
  if (operation == kOperations.end())
    return node_failure("ValueError", "unknown operation '" + call.text("operation") + "'");
  if (source->frames != 1 && source->frames != mask.frames)
    return node_failure("RuntimeError",
                        fmt::format("{} masks cannot be laid on {}", source->frames, mask.frames));
  const auto left = static_cast<std::size_t>(std::clamp<std::int64_t>(call.integer("x"), 0, mask.width));
  const auto top = static_cast<std::size_t>(std::clamp<std::int64_t>(call.integer("y"), 0, mask.height));
  const std::size_t width = std::min<std::size_t>(source->width, mask.width - left);
  const std::size_t height = std::min<std::size_t>(source->height, mask.height - top);
  for (std::size_t frame = 0; frame < mask.frames; ++frame) {
    const float* from = source->samples.data() + (source->frames == 1 ? 0 : frame) * source->frame_length();
    float* to = mask.samples.data() + frame * mask.frame_length() + top * mask.width + left;
    for (std::size_t y = 0; y < height; ++y, from += source->width, to += mask.width) {
      for (std::size_t x = 0; x < width; ++x) to[x] = operation->join(to[x], from[x]);
    }
  }
  for (float& sample : mask.samples) sample = std::clamp(sample, 0.0F, 1.0F);
  return one_tensor(std::move(mask));
}

NodeResult<NodeOutput> run_colour(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const auto wanted = static_cast<std::uint32_t>(call.integer("color"));
  Tensor mask{image->width, image->height, image->frames, 1, {}};
  mask.samples.reserve(image->samples.size() / image->channels);
  for (std::size_t i = 0; i < image->samples.size(); i += image->channels) {
    std::uint32_t colour = 0;
    for (std::size_t c = 0; c < 3; ++c) {
      const float level = std::nearbyint(std::clamp(image->samples[i + c], 0.0F, 1.0F) * 255.0F);
      colour = colour << 8 | static_cast<std::uint32_t>(level);
    }
    mask.samples.push_back(colour == wanted ? 1.0F : 0.0F);
  }
  return one_tensor(std::move(mask));
}

}  // namespace

NodeClass mask_composite_node() {
  return {"MaskComposite",
          R"info({"input":{"required":{"destination":["MASK",{}],"source":["MASK",{}],"x":["INT",{"default":0,
"min":0,
"max":16384,"step":1}],"y":["INT",{"default":0,"min":0,"max":16384,"step":1}],"operation":["COMBO",
{"multiselect":false,"options":["multiply","add","subtract","and","or","xor"]}]}},
"input_order":{"required":["destination","source","x","y","operation"]},"is_input_list":false,
"output":["MASK"],"output_is_list":[false],"output_name":["MASK"],"output_tooltips":[null],
"output_matchtypes":null,"name":"MaskComposite","display_name":"Combine Masks","description":"",
"python_module":"comfy_extras.nodes_mask","category":"mask","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":["combine masks",
"blend masks","layer masks","masks composition"],"essentials_category":null,
"has_intermediate_output":false})info",
          false, run_composite};
}

NodeClass image_color_to_mask_node() {
  return {
      "ImageColorToMask",
      R"info({"input":{"required":{"image":["IMAGE",{}],"color":["INT",{"default":0,"min":0,"max":16777215,
"step":1,
"display":"number"}]}},"input_order":{"required":["image","color"]},"is_input_list":false,"output":["MASK"],
"output_is_list":[false],"output_name":["MASK"],"output_tooltips":[null],"output_matchtypes":null,
"name":"ImageColorToMask","display_name":null,"description":"","python_module":"comfy_extras.nodes_mask",
"category":"mask","output_node":false,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["color keying","chroma key"],
"essentials_category":null,"has_intermediate_output":false})info",
      false, run_colour};
}

}  // namespace atelier::rehearsal
