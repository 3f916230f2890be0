// SPDX-License-Identifier: MIT
// ImagePadForOutpaint: a grey frame around every picture, and the mask that says where it is to be painted.
#include <algorithm>

#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

struct Margins {
  std::uint64_t left = 0, top = 0, right = 0, bottom = 0;
};

// How far a pixel is from the nearest padded edge; an edge without padding is as far as the picture is large.
std::uint64_t distance(const Tensor& image, const Margins& margins, std::uint64_t x, std::uint64_t y) {
  const std::uint64_t across =
      std::min(margins.left != 0 ? x : image.width, margins.right != 0 ? image.width - x : image.width);
  const std::uint64_t down =
      std::min(margins.top != 0 ? y : image.height, margins.bottom != 0 ? image.height - y : image.height);
  return std::min(across, down);
}

// 1 in the frame; inside, a square falls from 1 at a padded edge to 0 at `feathering` pixels from it. A
// picture that is not larger than twice the feathering gets none.
NodeResult<Tensor> make_mask(const Tensor& image, const Margins& margins, std::uint64_t feathering) {
  auto mask = make_tensor(1, image.height + margins.top + margins.bottom,
                          image.width + margins.left + margins.right, 1);
  if (!mask) return mask;
  std::ranges::fill(mask->samples, 1.0F);
  const bool feathered = feathering > 0 && feathering * 2 < image.height && feathering * 2 < image.width;
  for (std::uint64_t y = 0; y < image.height; ++y) {
    float* row = mask->samples.data() + (y + margins.top) * mask->width + margins.left;
    for (std::uint64_t x = 0; x < image.width; ++x) {
      const std::uint64_t near = feathered ? distance(image, margins, x, y) : feathering;
      const double part =
          near >= feathering ? 0 : static_cast<double>(feathering - near) / static_cast<double>(feathering);
      row[x] = static_cast<float>(part * part);
    }
  }
  return mask;
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr image = call.tensor("image");
  const auto size = [&](std::string_view name) { return static_cast<std::uint64_t>(call.integer(name)); };
  const Margins margins{size("left"), size("top"), size("right"), size("bottom")};
  auto padded = make_tensor(image->frames, image->height + margins.top + margins.bottom,
                            image->width + margins.left + margins.right, image->channels);
  if (!padded) return std::unexpected(std::move(padded).error());
  auto mask = make_mask(*image, margins, size("feathering"));
  if (!mask) return std::unexpected(std::move(mask).error());
  std::ranges::fill(padded->samples, 0.5F);
  for (std::size_t frame = 0; frame < image->frames; ++frame) {
    for (std::size_t y = 0; y < image->height; ++y) {
      std::copy_n(image->samples.data() + frame * image->frame_length() + y * image->row_length(),
                  image->row_length(),
                  padded->samples.data() + frame * padded->frame_length() +
                      (y + margins.top) * padded->row_length() + margins.left * image->channels);
    }
    if (!call.watch->advance(frame + 1, image->frames)) return interrupted();
  }
  NodeOutput output = one_tensor(std::move(*padded));
  output.values.emplace_back(std::make_shared<const Tensor>(std::move(*mask)));
  return output;
}

}  // namespace

NodeClass image_pad_for_outpaint_node() {
  return {"ImagePadForOutpaint",
          R"info({"input":{"required":{"image":["IMAGE"],"left":["INT",{"default":0,"min":0,"max":16384,
"step":8}],
"top":["INT",{"default":0,"min":0,"max":16384,"step":8}],"right":["INT",{"default":0,"min":0,"max":16384,
"step":8}],"bottom":["INT",{"default":0,"min":0,"max":16384,"step":8}],"feathering":["INT",{"default":40,
"min":0,"max":16384,"step":1,"advanced":true}]}},"input_order":{"required":["image","left","top","right",
"bottom","feathering"]},"is_input_list":false,"output":["IMAGE","MASK"],"output_is_list":[false,false],
"output_name":["IMAGE","MASK"],"name":"ImagePadForOutpaint","display_name":"Pad Image for Outpainting",
"description":"","python_module":"nodes","category":"image/transform","output_node":false,
"has_intermediate_output":false,"search_aliases":["extend canvas","expand image"]})info",
          false, run};
}

}  // namespace atelier::rehearsal
