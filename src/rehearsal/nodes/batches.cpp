// SPDX-License-Identifier: MIT
// ImageFromBatch, RepeatImageBatch: some pictures of a batch, and a batch many times.
#include <algorithm>

#include "rehearsal/channels.hpp"
#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run_from_batch(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const std::int64_t first = std::min<std::int64_t>(call.integer("batch_index"), image->frames - 1);
  const std::int64_t count = std::min<std::int64_t>(call.integer("length"), image->frames - first);
  Tensor part{image->width, image->height, static_cast<std::uint32_t>(count), image->channels, {}};
  const auto length = static_cast<std::ptrdiff_t>(image->frame_length());
  const auto begin = image->samples.begin() + first * length;
  part.samples.assign(begin, begin + count * length);
  return one_tensor(std::move(part));
}

NodeResult<NodeOutput> run_repeat(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  // An amount is at most 4096 and a batch has at most kTensorPixelsMax pictures: 64 bits hold the product.
  const std::uint64_t frames = static_cast<std::uint64_t>(call.integer("amount")) * image->frames;
  auto repeated = with_frames(*image, static_cast<std::uint32_t>(std::min(frames, kTensorPixelsMax + 1)));
  if (!repeated) return std::unexpected(std::move(repeated).error());
  return one_tensor(std::move(*repeated));
}

}  // namespace

NodeClass image_from_batch_node() {
  return {"ImageFromBatch",
          R"info({"input":{"required":{"image":["IMAGE",{}],"batch_index":["INT",{"default":0,"min":0,
"max":4095}],
"length":["INT",{"default":1,"min":1,"max":4096}]}},"input_order":{"required":["image","batch_index",
"length"]},"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"ImageFromBatch",
"display_name":"Get Image from Batch","description":"","python_module":"comfy_extras.nodes_images",
"category":"image/batch","output_node":false,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["select image","pick from batch","extract image"],
"essentials_category":null,"has_intermediate_output":false})info",
          false, run_from_batch};
}

NodeClass repeat_image_batch_node() {
  return {
      "RepeatImageBatch",
      R"info({"input":{"required":{"image":["IMAGE",{}],"amount":["INT",{"default":1,"min":1,"max":4096}]}},
"input_order":{"required":["image","amount"]},"is_input_list":false,"output":["IMAGE"],
"output_is_list":[false],"output_name":["IMAGE"],"output_tooltips":[null],"output_matchtypes":null,
"name":"RepeatImageBatch","display_name":"Repeat Image Batch","description":"",
"python_module":"comfy_extras.nodes_images","category":"image/batch","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":["duplicate image","clone image"],"essentials_category":null,
"has_intermediate_output":false})info",
      false, run_repeat};
}

}  // namespace atelier::rehearsal
