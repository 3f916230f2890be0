// SPDX-License-Identifier: MIT
// ImageInvert: 1 - x for every sample.
#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  Tensor inverted = *call.tensor("image");
  for (float& sample : inverted.samples) sample = 1.0F - sample;
  return one_tensor(std::move(inverted));
}

}  // namespace

NodeClass image_invert_node() {
  return {"ImageInvert", R"({"input":{"required":{"image":["IMAGE"]}},"input_order":{"required":["image"]},
"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"name":"ImageInvert",
"display_name":"Invert Image Colors","description":"","python_module":"nodes","category":"image/color",
"output_node":false,"has_intermediate_output":false,"search_aliases":["reverse colors"],
"essentials_category":"Image Tools"})",
          false, run};
}

}  // namespace atelier::rehearsal
