// SPDX-License-Identifier: MIT
// SplitImageWithAlpha, JoinImageWithAlpha: colours and mask (1 - alpha) apart and together. ImageToMask: one
// channel as a mask.
#include <algorithm>
#include <array>

#include "rehearsal/channels.hpp"
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run_split(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const Tensor with_alpha = with_channels(*image, 4);
  Tensor mask{image->width, image->height, image->frames, 1, {}};
  mask.samples.reserve(with_alpha.samples.size() / 4);
  for (std::size_t i = 3; i < with_alpha.samples.size(); i += 4)
    mask.samples.push_back(1.0F - with_alpha.samples[i]);
  NodeOutput output = one_tensor(with_channels(*image, 3));
  output.values.emplace_back(std::make_shared<const Tensor>(std::move(mask)));
  return output;
}

NodeResult<NodeOutput> run_join(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  auto scaled = resize(*call.tensor("alpha"), image->width, image->height, Scaling::bilinear, *call.watch);
  if (!scaled) return std::unexpected(std::move(scaled).error());
  const std::uint32_t frames = std::max(image->frames, scaled->frames);
  const auto mask = with_frames(*scaled, frames);
  if (!mask) return std::unexpected(mask.error());
  auto joined = with_frames(with_channels(*image, 4), frames);
  if (!joined) return std::unexpected(std::move(joined).error());
  for (std::size_t i = 0; i < mask->samples.size(); ++i) joined->samples[i * 4 + 3] = 1.0F - mask->samples[i];
  return one_tensor(std::move(*joined));
}

NodeResult<NodeOutput> run_to_mask(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  constexpr std::array<std::string_view, 4> kChannels{"red", "green", "blue", "alpha"};
  const auto channel =
      static_cast<std::size_t>(std::ranges::find(kChannels, call.text("channel")) - kChannels.begin());
  if (channel >= image->channels)
    return node_failure("IndexError", "the picture has no channel '" + call.text("channel") + "'");
  Tensor mask{image->width, image->height, image->frames, 1, {}};
  mask.samples.reserve(image->samples.size() / image->channels);
  for (std::size_t i = channel; i < image->samples.size(); i += image->channels)
    mask.samples.push_back(image->samples[i]);
  return one_tensor(std::move(mask));
}

}  // namespace

NodeClass split_image_with_alpha_node() {
  return {"SplitImageWithAlpha",
          R"info({"input":{"required":{"image":["IMAGE",{}]}},"input_order":{"required":["image"]},
"is_input_list":false,
"output":["IMAGE","MASK"],"output_is_list":[false,false],"output_name":["IMAGE","MASK"],
"output_tooltips":[null,null],"output_matchtypes":null,"name":"SplitImageWithAlpha",
"display_name":"Split Image with Alpha","description":"","python_module":"comfy_extras.nodes_compositing",
"category":"mask/compositing","output_node":false,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["extract alpha","separate transparency",
"remove alpha"],"essentials_category":null,"has_intermediate_output":false})info",
          false, run_split};
}

NodeClass join_image_with_alpha_node() {
  return {"JoinImageWithAlpha",
          R"info({"input":{"required":{"image":["IMAGE",{}],"alpha":["MASK",{}]}},
"input_order":{"required":["image",
"alpha"]},"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"JoinImageWithAlpha",
"display_name":"Join Image with Alpha","description":"","python_module":"comfy_extras.nodes_compositing",
"category":"mask/compositing","output_node":false,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["add transparency","apply alpha","composite alpha",
"RGBA"],"essentials_category":null,"has_intermediate_output":false})info",
          false, run_join};
}

NodeClass image_to_mask_node() {
  return {"ImageToMask",
          R"info({"input":{"required":{"image":["IMAGE",{}],"channel":["COMBO",{"multiselect":false,
"options":["red","green",
"blue","alpha"]}]}},"input_order":{"required":["image","channel"]},"is_input_list":false,"output":["MASK"],
"output_is_list":[false],"output_name":["MASK"],"output_tooltips":[null],"output_matchtypes":null,
"name":"ImageToMask","display_name":"Convert Image to Mask","description":"",
"python_module":"comfy_extras.nodes_mask","category":"mask","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":["extract channel","channel to mask"],"essentials_category":null,
"has_intermediate_output":false})info",
          false, run_to_mask};
}

}  // namespace atelier::rehearsal
