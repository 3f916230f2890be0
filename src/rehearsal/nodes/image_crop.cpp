// SPDX-License-Identifier: MIT
// ImageCrop, ImageCropV2: a rectangle of every picture; what lies outside is left out.
// PrimitiveBoundingBox: such a rectangle, a JSON object on its link.
#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/nodes/save_files.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

namespace json = boost::json;

struct Box {
  std::int64_t x = 0, y = 0, width = 512, height = 512;
};

// Where Python's slice [first:last] of `size` elements begins and how long it is.
struct Slice {
  std::uint32_t first = 0, length = 0;
};
Slice slice(std::int64_t first, std::int64_t last, std::int64_t size) {
  const auto place = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + size : at, 0, size);
  };
  first = place(first);
  last = std::max(place(last), first);
  return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last - first)};
}

// ComfyUI 0.21.0 (comfy_extras/nodes_images.py) slices, so what is below 0 counts from the far end. Its
// preview is what fails when nothing is left; ImageCrop's inputs always leave something.
NodeResult<Tensor> crop(const Tensor& image, const Box& box) {
  const auto along = [](std::int64_t first, std::int64_t length, std::uint32_t size) {
    first = std::min<std::int64_t>(first, std::int64_t{size} - 1);
    return slice(first, first + length, size);
  };
  const Slice across = along(box.x, box.width, image.width), down = along(box.y, box.height, image.height);
  if (across.length == 0 || down.length == 0)
    return node_failure("ValueError", "the rectangle has no pixels");
  return cut(image, across.first, down.first, across.length, down.length);
}

// What is not there has ComfyUI's default.
NodeResult<Box> parse_box(const std::string& text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_object()) return node_failure("AttributeError", "the rectangle is no object");
  Box box;
  const std::array<std::pair<std::string_view, std::int64_t*>, 4> parts{
      {{"x", &box.x}, {"y", &box.y}, {"width", &box.width}, {"height", &box.height}}};
  for (const auto& [name, place] : parts) {
    const json::value* part = value.as_object().if_contains(name);
    if (part == nullptr) continue;
    constexpr std::int64_t kFar = std::int64_t{1} << 40;  // beyond every picture, and sums fit
    if (part->is_bool())
      *place = part->get_bool() ? 1 : 0;  // as in Python
    else if (part->is_int64())
      *place = std::clamp(part->get_int64(), -kFar, kFar);
    else if (part->is_uint64())
      *place = kFar;
    else
      return node_failure("TypeError", "a rectangle's numbers are whole");
  }
  return box;
}

Box box_of(const NodeCall& call) {
  return {call.integer("x"), call.integer("y"), call.integer("width"), call.integer("height")};
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  auto part = crop(*call.tensor("image"), box_of(call));
  if (!part) return std::unexpected(std::move(part).error());
  return one_tensor(std::move(*part));
}

NodeResult<NodeOutput> run_by_box(const NodeCall& call) {
  const auto box = parse_box(call.text("crop_region"));
  if (!box) return std::unexpected(box.error());
  auto part = crop(*call.tensor("image"), *box);
  if (!part) return std::unexpected(std::move(part).error());
  auto output = show_pictures(call, *part);
  if (output) output->values.emplace_back(std::make_shared<const Tensor>(std::move(*part)));
  return output;
}

NodeResult<NodeOutput> run_box(const NodeCall& call) {
  const Box box = box_of(call);
  NodeOutput output;
  output.values.emplace_back(json::serialize(
      json::object{{"x", box.x}, {"y", box.y}, {"width", box.width}, {"height", box.height}}));
  return output;
}

}  // namespace

NodeClass image_crop_v2_node() {
  return {
      "ImageCropV2",
      R"info({"input":{"required":{"image":["IMAGE",{}],"crop_region":["BOUNDING_BOX",{"default":{"x":0,"y":0,
"width":512,"height":512},"socketless":true,"component":"ImageCrop"}]}},"input_order":{"required":["image",
"crop_region"]},"is_input_list":false,"output":["IMAGE"],"output_is_list":[false],"output_name":["IMAGE"],
"output_tooltips":[null],"output_matchtypes":null,"name":"ImageCropV2","display_name":"Crop Image",
"description":"","python_module":"comfy_extras.nodes_images","category":"image/transform",
"output_node":false,"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,
"price_badge":null,"search_aliases":["trim"],"essentials_category":"Image Tools",
"has_intermediate_output":true})info",
      false, run_by_box};
}

NodeClass bounding_box_node() {
  return {"PrimitiveBoundingBox",
          R"info({"input":{"required":{"x":["INT",{"default":0,"min":0,"max":16384}],"y":["INT",{"default":0,
"min":0,
"max":16384}],"width":["INT",{"default":512,"min":1,"max":16384}],"height":["INT",{"default":512,"min":1,
"max":16384}]}},"input_order":{"required":["x","y","width","height"]},"is_input_list":false,
"output":["BOUNDING_BOX"],"output_is_list":[false],"output_name":["BOUNDING_BOX"],"output_tooltips":[null],
"output_matchtypes":null,"name":"PrimitiveBoundingBox","display_name":"Bounding Box","description":"",
"python_module":"comfy_extras.nodes_images","category":"utils/primitive","output_node":false,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":null,"essentials_category":null,"has_intermediate_output":false})info",
          false, run_box};
}

NodeClass image_crop_node() {
  return {"ImageCrop", R"info({"input":{"required":{"image":["IMAGE",{}],
"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"height":["INT",{"default":512,"min":1,"max":16384,"step":1}],
"x":["INT",{"default":0,"min":0,"max":16384,"step":1}],
"y":["INT",{"default":0,"min":0,"max":16384,"step":1}]}},
"input_order":{"required":["image","width","height","x","y"]},"is_input_list":false,"output":["IMAGE"],
"output_is_list":[false],"output_name":["IMAGE"],"output_tooltips":[null],"output_matchtypes":null,
"name":"ImageCrop",
"display_name":"Crop Image (DEPRECATED)","description":"","python_module":"comfy_extras.nodes_images",
"category":"image/transform","output_node":false,"deprecated":true,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":["trim"],"essentials_category":"Image Tools",
"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
