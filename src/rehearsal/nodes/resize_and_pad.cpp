// SPDX-License-Identifier: MIT
// ResizeAndPadImage: every picture at its own aspect in the middle of a canvas of one colour.
#include <algorithm>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const auto width = static_cast<std::uint64_t>(call.integer("target_width"));
  const auto height = static_cast<std::uint64_t>(call.integer("target_height"));
  const double factor =
      std::min(static_cast<double>(width) / image->width, static_cast<double>(height) / image->height);
  auto canvas = make_tensor(image->frames, height, width, image->channels);
  if (!canvas) return std::unexpected(std::move(canvas).error());
  std::ranges::fill(canvas->samples, call.text("padding_color") == "white" ? 1.0F : 0.0F);
  // The fraction is dropped, unlike in the other nodes that scale.
  const auto inner_width = static_cast<std::uint64_t>(image->width * factor);
  const auto inner_height = static_cast<std::uint64_t>(image->height * factor);
  auto scaled = resize_named(*image, static_cast<double>(inner_width), static_cast<double>(inner_height),
                             call.text("interpolation"), *call.watch);
  if (!scaled) return std::unexpected(std::move(scaled).error());
  const std::uint64_t left = (width - inner_width) / 2, top = (height - inner_height) / 2;
  for (std::size_t frame = 0; frame < image->frames; ++frame) {
    for (std::size_t y = 0; y < inner_height; ++y) {
      std::copy_n(scaled->samples.data() + frame * scaled->frame_length() + y * scaled->row_length(),
                  scaled->row_length(),
                  canvas->samples.data() + frame * canvas->frame_length() + (y + top) * canvas->row_length() +
                      left * image->channels);
    }
  }
  return one_tensor(std::move(*canvas));
}

}  // namespace

NodeClass resize_and_pad_image_node() {
  return {"ResizeAndPadImage",
          R"info({"input":{"required":{"image":["IMAGE",{}],"target_width":["INT",{"default":512,"min":1,
"max":16384,
"step":1}],"target_height":["INT",{"default":512,"min":1,"max":16384,"step":1}],"padding_color":["COMBO",
{"advanced":true,"multiselect":false,"options":["white","black"]}],"interpolation":["COMBO",
{"advanced":true,"multiselect":false,"options":["area","bicubic","nearest-exact","bilinear","lanczos"]}]}},
"input_order":{"required":["image","target_width","target_height","padding_color","interpolation"]},
"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"ResizeAndPadImage",
"display_name":"Resize And Pad Image","description":"","python_module":"comfy_extras.nodes_images",
"category":"image/transform","output_node":false,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["fit to size"],"essentials_category":null,
"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
