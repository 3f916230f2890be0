// SPDX-License-Identifier: MIT
// ImageBatch: the pictures of two batches in one; the second is scaled and cut to the size of the first.
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

// An opaque fourth channel for pictures that have three.
Tensor with_alpha(const Tensor& picture) {
  Tensor wide{picture.width, picture.height, picture.frames, picture.channels + 1, {}};
  wide.samples.reserve(wide.frame_length() * wide.frames);
  for (std::size_t i = 0; i < picture.samples.size(); i += picture.channels) {
    const auto pixel = picture.samples.begin() + static_cast<std::ptrdiff_t>(i);
    wide.samples.insert(wide.samples.end(), pixel, pixel + picture.channels);
    wide.samples.push_back(1.0F);
  }
  return wide;
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  Tensor first = *call.tensor("image1"), second = *call.tensor("image2");
  if (first.channels > second.channels) second = with_alpha(second);
  if (second.channels > first.channels) first = with_alpha(first);
  if (second.width != first.width || second.height != first.height) {
    auto fitted = resize(center_crop(second, first.width, first.height), first.width, first.height,
                         Scaling::bilinear, *call.watch);
    if (!fitted) return std::unexpected(std::move(fitted).error());
    second = std::move(*fitted);
  }
  // Only the check: the samples move over from the first.
  const auto frames = std::uint64_t{first.frames} + second.frames;
  if (auto room = make_tensor(frames, first.height, first.width, first.channels); !room) {
    return std::unexpected(std::move(room).error());
  }
  first.samples.insert(first.samples.end(), second.samples.begin(), second.samples.end());
  first.frames = static_cast<std::uint32_t>(frames);
  return one_tensor(std::move(first));
}

}  // namespace

NodeClass image_batch_node() {
  return {"ImageBatch", R"info({"input":{"required":{"image1":["IMAGE"],"image2":["IMAGE"]}},
"input_order":{"required":["image1","image2"]},"is_input_list":false,"output":["IMAGE"],
"output_is_list":[false],
"output_name":["IMAGE"],"name":"ImageBatch","display_name":"Batch Images (DEPRECATED)","description":"",
"python_module":"nodes","category":"image/batch","output_node":false,"has_intermediate_output":false,
"deprecated":true,"search_aliases":["combine images","merge images","stack images"]})info",
          false, run};
}

}  // namespace atelier::rehearsal
