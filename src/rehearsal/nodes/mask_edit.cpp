// SPDX-License-Identifier: MIT
// CropMask, FeatherMask, GrowMask, ThresholdMask: one mask changed by itself.
#include <algorithm>
#include <cstdlib>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run_crop(const NodeCall& call) {
  const TensorPtr mask = call.tensor("mask");
  const std::int64_t x = call.integer("x"), y = call.integer("y");
  if (x < 0 || y < 0 || x >= mask->width || y >= mask->height)
    return node_failure("RuntimeError", "the rectangle begins outside the mask");
  const std::int64_t width = std::clamp<std::int64_t>(call.integer("width"), 1, mask->width - x);
  const std::int64_t height = std::clamp<std::int64_t>(call.integer("height"), 1, mask->height - y);
  return one_tensor(cut(*mask, static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y),
                        static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height)));
}

void multiply_column(Tensor& mask, std::size_t x, double rate) {
  for (std::size_t i = x; i < mask.samples.size(); i += mask.width)
    mask.samples[i] *= static_cast<float>(rate);
}
void multiply_row(Tensor& mask, std::size_t y, double rate) {
  for (std::size_t frame = 0; frame < mask.frames; ++frame) {
    float* row = mask.samples.data() + frame * mask.frame_length() + y * mask.width;
    std::for_each(row, row + mask.width, [&](float& sample) { sample *= static_cast<float>(rate); });
  }
}

NodeResult<NodeOutput> run_feather(const NodeCall& call) {
  Tensor mask = *call.tensor("mask");
  const auto size = [&](std::string_view name, std::uint32_t side) {
    return static_cast<std::size_t>(std::clamp<std::int64_t>(call.integer(name), 0, side));
  };
  // ComfyUI counts from the far end by negative indices, of which 0 is the near end: the first step of
  // `right` falls on the left column, that of `bottom` on the top row.
  const auto far = [](std::size_t i, std::size_t side) { return i == 0 ? 0 : side - i; };
  const auto rate = [](std::size_t i, std::size_t length) {
    return static_cast<double>(i + 1) / static_cast<double>(length);
  };
  const std::size_t left = size("left", mask.width), right = size("right", mask.width);
  const std::size_t top = size("top", mask.height), bottom = size("bottom", mask.height);
  for (std::size_t i = 0; i < left; ++i) multiply_column(mask, i, rate(i, left));
  for (std::size_t i = 0; i < right; ++i) multiply_column(mask, far(i, mask.width), rate(i, right));
  for (std::size_t i = 0; i < top; ++i) multiply_row(mask, i, rate(i, top));
  for (std::size_t i = 0; i < bottom; ++i) multiply_row(mask, far(i, mask.height), rate(i, bottom));
  return one_tensor(std::move(mask));
}

// Every sample becomes the largest (or smallest) of itself and its neighbours, with or without the diagonal
// ones.
template <class Choose>
Tensor grow_once(const Tensor& mask, bool diagonals, Choose choose) {
  Tensor grown = mask;
  const auto width = static_cast<std::int64_t>(mask.width), height = static_cast<std::int64_t>(mask.height);
  for (std::size_t frame = 0; frame < mask.frames; ++frame) {
    const float* from = mask.samples.data() + frame * mask.frame_length();
    float* to = grown.samples.data() + frame * mask.frame_length();
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        float& sample = to[y * width + x];
        for (std::int64_t dy = y > 0 ? -1 : 0; dy <= (y + 1 < height ? 1 : 0); ++dy) {
          for (std::int64_t dx = x > 0 ? -1 : 0; dx <= (x + 1 < width ? 1 : 0); ++dx) {
            if (diagonals || dx == 0 || dy == 0) sample = choose(sample, from[(y + dy) * width + x + dx]);
          }
        }
      }
    }
  }
  return grown;
}

NodeResult<NodeOutput> run_grow(const NodeCall& call) {
  Tensor mask = *call.tensor("mask");
  const std::int64_t expand = call.integer("expand");
  const bool diagonals = call.integer("tapered_corners") == 0;
  // After as many steps as the mask is long nothing changes any more.
  const std::int64_t steps = std::min<std::int64_t>(std::abs(expand), std::int64_t{mask.width} + mask.height);
  for (std::int64_t step = 0; step < steps; ++step) {
    if (!call.watch->advance(static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(steps)))
      return interrupted();
    mask = expand < 0 ? grow_once(
                            mask, diagonals, [](float a, float b) { return std::min(a, b); })
                      : grow_once(mask, diagonals, [](float a, float b) { return std::max(a, b); });
  }
  return one_tensor(std::move(mask));
}

NodeResult<NodeOutput> run_threshold(const NodeCall& call) {
  Tensor mask = *call.tensor("mask");
  const auto limit = static_cast<float>(call.number("value"));
  for (float& sample : mask.samples) sample = sample > limit ? 1.0F : 0.0F;
  return one_tensor(std::move(mask));
}

}  // namespace

NodeClass crop_mask_node() {
  return {
      "CropMask",
      R"info({"input":{"required":{"mask":["MASK",{}],"x":["INT",{"default":0,"min":0,"max":16384,"step":1}],
"y":["INT",
{"default":0,"min":0,"max":16384,"step":1}],"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"height":["INT",{"default":512,"min":1,"max":16384,"step":1}]}},"input_order":{"required":["mask","x","y",
"width","height"]},"is_input_list":false,"output":["MASK"],"output_is_list":[false],"output_name":["MASK"],
"output_tooltips":[null],"output_matchtypes":null,"name":"CropMask","display_name":"Crop Mask",
"description":"","python_module":"comfy_extras.nodes_mask","category":"mask","output_node":false,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":["cut mask","extract mask region","mask slice"],"essentials_category":null,
"has_intermediate_output":false})info",
      false, run_crop};
}

NodeClass feather_mask_node() {
  return {"FeatherMask",
          R"info({"input":{"required":{"mask":["MASK",{}],"left":["INT",{"default":0,"min":0,"max":16384,
"step":1}],
"top":["INT",{"default":0,"min":0,"max":16384,"step":1}],"right":["INT",{"default":0,"min":0,"max":16384,
"step":1}],"bottom":["INT",{"default":0,"min":0,"max":16384,"step":1}]}},"input_order":{"required":["mask",
"left","top","right","bottom"]},"is_input_list":false,"output":["MASK"],"output_is_list":[false],
"output_name":["MASK"],"output_tooltips":[null],"output_matchtypes":null,"name":"FeatherMask",
"display_name":"Feather Mask","description":"","python_module":"comfy_extras.nodes_mask","category":"mask",
"output_node":false,"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,
"price_badge":null,"search_aliases":["soft edge mask","blur mask edges","gradient mask edge"],
"essentials_category":null,"has_intermediate_output":false})info",
          false, run_feather};
}

NodeClass grow_mask_node() {
  return {
      "GrowMask",
      R"info({"input":{"required":{"mask":["MASK",{}],"expand":["INT",{"default":0,"min":-16384,"max":16384,
"step":1}],
"tapered_corners":["BOOLEAN",{"advanced":true,"default":true}]}},"input_order":{"required":["mask","expand",
"tapered_corners"]},"is_input_list":false,"output":["MASK"],"output_is_list":[false],"output_name":["MASK"],
"output_tooltips":[null],"output_matchtypes":null,"name":"GrowMask","display_name":"Grow Mask",
"description":"","python_module":"comfy_extras.nodes_mask","category":"mask","output_node":false,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":["expand mask","shrink mask"],"essentials_category":null,
"has_intermediate_output":false})info",
      false, run_grow};
}

NodeClass threshold_mask_node() {
  return {"ThresholdMask",
          R"info({"input":{"required":{"mask":["MASK",{}],"value":["FLOAT",{"default":0.5,"min":0.0,"max":1.0,
"step":0.01}]}},"input_order":{"required":["mask","value"]},"is_input_list":false,"output":["MASK"],
"output_is_list":[false],"output_name":["MASK"],"output_tooltips":[null],"output_matchtypes":null,
"name":"ThresholdMask","display_name":null,"description":"","python_module":"comfy_extras.nodes_mask",
"category":"mask","output_node":false,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["binary mask"],"essentials_category":null,
"has_intermediate_output":false})info",
          false, run_threshold};
}

}  // namespace atelier::rehearsal
