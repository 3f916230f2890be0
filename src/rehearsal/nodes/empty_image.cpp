// SPDX-License-Identifier: MIT
// EmptyImage: pictures of one colour.
#include <array>

#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  const auto size = [&](std::string_view name) { return static_cast<std::uint64_t>(call.integer(name)); };
  auto tensor = make_tensor(size("batch_size"), size("height"), size("width"), 3);
  if (!tensor) return std::unexpected(std::move(tensor).error());
  const auto colour = static_cast<std::uint32_t>(call.integer("color"));
  // Divided in double precision and then narrowed, as ComfyUI fills its tensors.
  const auto part = [&](std::uint32_t shift) {
    return static_cast<float>((colour >> shift & 0xFFu) / 255.0);
  };
  const std::array<float, 3> pixel{part(16), part(8), part(0)};
  for (std::size_t i = 0; i < tensor->samples.size(); ++i) tensor->samples[i] = pixel[i % 3];
  return one_tensor(std::move(*tensor));
}

}  // namespace

NodeClass empty_image_node() {
  return {"EmptyImage", R"({"input":{"required":{"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"height":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"batch_size":["INT",{"default":1,"min":1,"max":4096}],
"color":["INT",{"default":0,"min":0,"max":16777215,"step":1,"display":"color"}]}},
"input_order":{"required":["width","height","batch_size","color"]},"is_input_list":false,"output":["IMAGE"],
"output_is_list":[false],"output_name":["IMAGE"],"name":"EmptyImage","display_name":"Empty Image",
"description":"",
"python_module":"nodes","category":"image","output_node":false,"has_intermediate_output":false,
"search_aliases":[]})",
          false, run};
}

}  // namespace atelier::rehearsal
