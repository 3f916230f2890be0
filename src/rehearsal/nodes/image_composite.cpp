// SPDX-License-Identifier: MIT
// ImageCompositeMasked: one batch laid upon another (or upon nothing), through a mask.
#include <algorithm>
#include <optional>

#include "rehearsal/channels.hpp"
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

// What is laid where: the source's pixel (0, 0) comes to (left, top), `width` x `height` of it are visible.
struct Overlap {
  std::size_t left = 0, top = 0, width = 0, height = 0;
};

const float* pixel_at(const Tensor& tensor, std::size_t frame, std::size_t x, std::size_t y) {
  return tensor.samples.data() + frame * tensor.frame_length() + y * tensor.row_length() +
         x * tensor.channels;
}

Overlap find_overlap(const Tensor& destination, const Tensor& source, std::int64_t x, std::int64_t y) {
  Overlap overlap;
  overlap.left = static_cast<std::size_t>(std::clamp<std::int64_t>(x, 0, destination.width));
  overlap.top = static_cast<std::size_t>(std::clamp<std::int64_t>(y, 0, destination.height));
  overlap.width = std::min<std::size_t>(source.width, destination.width - overlap.left);
  overlap.height = std::min<std::size_t>(source.height, destination.height - overlap.top);
  return overlap;
}

// True if every sample of every picture is 0 there: ComfyUI then lays the source down as it is.
bool is_blank(const Tensor& destination, const Overlap& overlap) {
  for (std::size_t frame = 0; frame < destination.frames; ++frame) {
    for (std::size_t y = 0; y < overlap.height; ++y) {
      const float* row = pixel_at(destination, frame, overlap.left, overlap.top + y);
      if (std::any_of(row, row + overlap.width * destination.channels, [](float v) { return v > 0; }))
        return false;
    }
  }
  return true;
}

// `mask` has one channel and the source's size and frames; none: 1 everywhere.
void lay(Tensor& destination, const Tensor& source, const Tensor* mask, const Overlap& overlap) {
  const bool alpha = destination.channels == 4;
  const bool blank = alpha && is_blank(destination, overlap);
  for (std::size_t frame = 0; frame < destination.frames; ++frame) {
    for (std::size_t y = 0; y < overlap.height; ++y) {
      const float* from = pixel_at(source, frame, 0, y);
      const float* part = mask ? pixel_at(*mask, frame, 0, y) : nullptr;
      float* to = destination.samples.data() +
                  (pixel_at(destination, frame, overlap.left, overlap.top + y) - destination.samples.data());
      for (std::size_t x = 0; x < overlap.width; ++x, from += source.channels, to += destination.channels) {
        const float share = part ? part[x] : 1.0F;
        for (std::size_t c = 0; c < 3; ++c) to[c] = blank ? from[c] : share * from[c] + (1 - share) * to[c];
        if (alpha) to[3] = blank ? share : std::max(share, to[3]);
      }
    }
  }
}

struct Layers {
  Tensor destination, source;
  std::optional<Tensor> mask;
};

NodeResult<Layers> make_layers(const NodeCall& call) {
  Layers layers{{}, *call.tensor("source"), std::nullopt};
  if (call.has("destination")) {
    layers.destination = *call.tensor("destination");
  } else {
    const Tensor& source = layers.source;
    auto nothing = make_tensor(source.frames, source.height, source.width, 4);
    if (!nothing) return std::unexpected(std::move(nothing).error());
    layers.destination = std::move(*nothing);
  }
  layers.source = with_channels(layers.source, layers.destination.channels);
  if (call.integer("resize_source") != 0) {
    auto scaled = resize(layers.source, layers.destination.width, layers.destination.height,
                         Scaling::bilinear, *call.watch);
    if (!scaled) return std::unexpected(std::move(scaled).error());
    layers.source = std::move(*scaled);
  }
  if (call.has("mask")) {
    auto scaled = resize(*call.tensor("mask"), layers.source.width, layers.source.height, Scaling::bilinear,
                         *call.watch);
    if (!scaled) return std::unexpected(std::move(scaled).error());
    auto repeated = with_frames(*scaled, layers.destination.frames);
    if (!repeated) return std::unexpected(std::move(repeated).error());
    layers.mask = std::move(*repeated);
  }
  auto repeated = with_frames(layers.source, layers.destination.frames);
  if (!repeated) return std::unexpected(std::move(repeated).error());
  layers.source = std::move(*repeated);
  return layers;
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  auto layers = make_layers(call);
  if (!layers) return std::unexpected(std::move(layers).error());
  const Overlap overlap =
      find_overlap(layers->destination, layers->source, call.integer("x"), call.integer("y"));
  // ComfyUI 0.21.0 fails in these two cases, by the shapes of its tensors.
  if (layers->destination.channels == 4 && !layers->mask)
    return node_failure("RuntimeError", "a destination with an alpha channel, or none, needs a mask");
  if (layers->destination.channels == 4 && overlap.width * overlap.height == 0)
    return node_failure("RuntimeError", "the source lies outside a destination that has an alpha channel");
  lay(layers->destination, layers->source, layers->mask ? &*layers->mask : nullptr, overlap);
  return one_tensor(std::move(layers->destination));
}

}  // namespace

NodeClass image_composite_masked_node() {
  return {"ImageCompositeMasked",
          R"info({"input":{"required":{"source":["IMAGE",{}],"x":["INT",{"default":0,"min":0,"max":16384,
"step":1}],
"y":["INT",{"default":0,"min":0,"max":16384,"step":1}],"resize_source":["BOOLEAN",{"default":false}]},
"optional":{"destination":["IMAGE",{}],"mask":["MASK",{}]}},"input_order":{"required":["source","x","y",
"resize_source"],"optional":["destination","mask"]},"is_input_list":false,"output":["IMAGE"],
"output_is_list":[false],"output_name":["IMAGE"],"output_tooltips":[null],"output_matchtypes":null,
"name":"ImageCompositeMasked","display_name":"Image Composite Masked","description":"",
"python_module":"comfy_extras.nodes_mask","category":"image","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":["overlay",
"layer","paste image","images composition"],"essentials_category":null,"has_intermediate_output":false})info",
          false, run};
}

}  // namespace atelier::rehearsal
