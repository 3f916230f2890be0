// SPDX-License-Identifier: MIT
// SolidMask, InvertMask, MaskToImage, MaskPreview.
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/nodes/save_files.hpp"

#include <algorithm>

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run_solid(const NodeCall& call) {
  auto mask = make_tensor(1, static_cast<std::uint64_t>(call.integer("height")),
                          static_cast<std::uint64_t>(call.integer("width")), 1);
  if (!mask) return std::unexpected(std::move(mask).error());
  std::ranges::fill(mask->samples, static_cast<float>(call.number("value")));
  return one_tensor(std::move(*mask));
}

NodeResult<NodeOutput> run_invert(const NodeCall& call) {
  Tensor inverted = *call.tensor("mask");
  for (float& sample : inverted.samples) sample = 1.0F - sample;
  return one_tensor(std::move(inverted));
}

NodeResult<Tensor> grey_of(const Tensor& mask) {
  auto image = make_tensor(mask.frames, mask.height, mask.width, 3);
  if (!image) return image;
  for (std::size_t i = 0; i < mask.samples.size(); ++i)
    std::fill_n(image->samples.data() + i * 3, 3, mask.samples[i]);
  return image;
}

NodeResult<NodeOutput> run_to_image(const NodeCall& call) {
  auto image = grey_of(*call.tensor("mask"));
  if (!image) return std::unexpected(std::move(image).error());
  return one_tensor(std::move(*image));
}

NodeResult<NodeOutput> run_preview(const NodeCall& call) {
  const auto image = grey_of(*call.tensor("mask"));
  if (!image) return std::unexpected(image.error());
  return show_pictures(call, *image);
}

}  // namespace

NodeClass mask_preview_node() {
  return {"MaskPreview",
          R"info({"input":{"required":{"mask":["MASK",{}]},"hidden":{"prompt":["PROMPT"],
"extra_pnginfo":["EXTRA_PNGINFO"]}},
"input_order":{"required":["mask"],"hidden":["prompt","extra_pnginfo"]},"is_input_list":false,"output":[],
"output_is_list":[],"output_name":[],"output_tooltips":[],"output_matchtypes":null,"name":"MaskPreview",
"display_name":"Preview Mask",
"description":"Shows a mask in grey without keeping it: the files lie in the temporary folder.",
"python_module":"comfy_extras.nodes_mask","category":"mask","output_node":true,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":["show mask",
"view mask","inspect mask","debug mask"],"essentials_category":null,"has_intermediate_output":false})info",
          true, run_preview};
}

NodeClass solid_mask_node() {
  return {"SolidMask", R"({"input":{"required":{
"value":["FLOAT",{"default":1.0,"min":0.0,"max":1.0,"step":0.01}],
"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"height":["INT",{"default":512,"min":1,"max":16384,"step":1}]}},
"input_order":{"required":["value","width","height"]},"is_input_list":false,"output":["MASK"],
"output_is_list":[false],"output_name":["MASK"],"output_tooltips":[null],"output_matchtypes":null,
"name":"SolidMask",
"display_name":null,"description":"","python_module":"comfy_extras.nodes_mask","category":"mask",
"output_node":false,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":null,
"essentials_category":null,"has_intermediate_output":false})",
          false, run_solid};
}

NodeClass invert_mask_node() {
  return {"InvertMask", R"({"input":{"required":{"mask":["MASK",{}]}},"input_order":{"required":["mask"]},
"is_input_list":false,"output":["MASK"],"output_is_list":[false],"output_name":["MASK"],
"output_tooltips":[null],
"output_matchtypes":null,"name":"InvertMask","display_name":"Invert Mask","description":"",
"python_module":"comfy_extras.nodes_mask","category":"mask","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":["reverse mask","flip mask"],"essentials_category":null,"has_intermediate_output":false})",
          false, run_invert};
}

NodeClass mask_to_image_node() {
  return {"MaskToImage", R"({"input":{"required":{"mask":["MASK",{}]}},"input_order":{"required":["mask"]},
"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],
"output_matchtypes":null,"name":"MaskToImage","display_name":"Convert Mask to Image","description":"",
"python_module":"comfy_extras.nodes_mask","category":"mask","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":["convert mask"],
"essentials_category":null,"has_intermediate_output":false})",
          false, run_to_image};
}

}  // namespace atelier::rehearsal
