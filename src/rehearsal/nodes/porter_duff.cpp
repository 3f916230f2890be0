// SPDX-License-Identifier: MIT
// PorterDuffImageComposite: two layers with masks put together by one of 18 rules.
// Outside source: T. Porter, T. Duff, "Compositing Digital Images", 1984; the blend rules are those of W3C
// Compositing and Blending. A mask is 1 - alpha; sums are over colours multiplied by their alpha.
#include <algorithm>
#include <array>

#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

// One sample of both layers, colours multiplied by alpha, and what comes of it.
struct Pair {
  float source, source_alpha, below, below_alpha;
};
struct Mixed {
  float colour, alpha;
};
using Rule = Mixed (*)(const Pair& p);

float united(const Pair& p) { return p.source_alpha + p.below_alpha - p.source_alpha * p.below_alpha; }
float source_alone(const Pair& p) { return (1 - p.below_alpha) * p.source; }
float below_alone(const Pair& p) { return (1 - p.source_alpha) * p.below; }

Mixed overlay(const Pair& p) {
  const float colour =
      2 * p.below < p.below_alpha
          ? 2 * p.source * p.below
          : p.source_alpha * p.below_alpha - 2 * (p.below_alpha - p.source) * (p.source_alpha - p.below);
  return {colour, united(p)};
}

struct NamedRule {
  std::string_view name;
  Rule rule;
};
constexpr std::array<NamedRule, 18> kRules{{
    {"ADD",
     [](const Pair& p) {
       return Mixed{std::clamp(p.source + p.below, 0.0F, 1.0F),
                    std::clamp(p.source_alpha + p.below_alpha, 0.0F, 1.0F)};
     }},
    {"CLEAR", [](const Pair&) { return Mixed{0, 0}; }},
    {"DARKEN",
     [](const Pair& p) {
       return Mixed{source_alone(p) + below_alone(p) + std::min(p.source, p.below), united(p)};
     }},
    {"DST", [](const Pair& p) { return Mixed{p.below, p.below_alpha}; }},
    {"DST_ATOP",
     [](const Pair& p) { return Mixed{p.source_alpha * p.below + source_alone(p), p.source_alpha}; }},
    {"DST_IN", [](const Pair& p) { return Mixed{p.below * p.source_alpha, p.source_alpha * p.below_alpha}; }},
    {"DST_OUT", [](const Pair& p) { return Mixed{below_alone(p), (1 - p.source_alpha) * p.below_alpha}; }},
    {"DST_OVER",
     [](const Pair& p) {
       return Mixed{p.below + source_alone(p), p.below_alpha + (1 - p.below_alpha) * p.source_alpha};
     }},
    {"LIGHTEN",
     [](const Pair& p) {
       return Mixed{source_alone(p) + below_alone(p) + std::max(p.source, p.below), united(p)};
     }},
    {"MULTIPLY", [](const Pair& p) { return Mixed{p.source * p.below, p.source_alpha * p.below_alpha}; }},
    {"OVERLAY", overlay},
    {"SCREEN", [](const Pair& p) { return Mixed{p.source + p.below - p.source * p.below, united(p)}; }},
    {"SRC", [](const Pair& p) { return Mixed{p.source, p.source_alpha}; }},
    {"SRC_ATOP",
     [](const Pair& p) { return Mixed{p.below_alpha * p.source + below_alone(p), p.below_alpha}; }},
    {"SRC_IN", [](const Pair& p) { return Mixed{p.source * p.below_alpha, p.source_alpha * p.below_alpha}; }},
    {"SRC_OUT", [](const Pair& p) { return Mixed{source_alone(p), (1 - p.below_alpha) * p.source_alpha}; }},
    {"SRC_OVER",
     [](const Pair& p) {
       return Mixed{p.source + below_alone(p), p.source_alpha + (1 - p.source_alpha) * p.below_alpha};
     }},
    {"XOR",
     [](const Pair& p) {
       return Mixed{source_alone(p) + below_alone(p),
                    (1 - p.below_alpha) * p.source_alpha + (1 - p.source_alpha) * p.below_alpha};
     }},
}};

constexpr float kNothing = 1e-5F;  // an alpha below which a colour is black

// The tensor in the destination's size.
NodeResult<Tensor> fit(const Tensor& tensor, const Tensor& destination, Watch& watch) {
  if (tensor.width == destination.width && tensor.height == destination.height) return tensor;
  return resize(center_crop(tensor, destination.width, destination.height), destination.width,
                destination.height, Scaling::bicubic, watch);
}

void mix_frame(std::size_t frame, const std::array<const Tensor*, 4>& layers, Rule rule, Tensor& colours,
               Tensor& masks) {
  const auto& [source, source_mask, below, below_mask] = layers;
  const std::size_t pixels = std::size_t{colours.width} * colours.height, channels = colours.channels;
  for (std::size_t i = frame * pixels; i < (frame + 1) * pixels; ++i) {
    const float source_alpha = 1 - source_mask->samples[i], below_alpha = 1 - below_mask->samples[i];
    float alpha = 0;
    for (std::size_t c = 0; c < channels; ++c) {
      const std::size_t at = i * channels + c;
      const Mixed mixed = rule(
          {source->samples[at] * source_alpha, source_alpha, below->samples[at] * below_alpha, below_alpha});
      alpha = mixed.alpha;
      colours.samples[at] = alpha > kNothing ? std::clamp(mixed.colour / alpha, 0.0F, 1.0F) : 0.0F;
    }
    masks.samples[i] = 1 - alpha;
  }
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  const TensorPtr below = call.tensor("destination");
  if (call.tensor("source")->channels != below->channels)
    return node_failure("AssertionError", "both pictures need the same number of channels");
  const auto named = std::ranges::find(kRules, call.text("mode"), &NamedRule::name);
  if (named == kRules.end()) return node_failure("KeyError", "unknown mode '" + call.text("mode") + "'");
  const std::array<std::string_view, 3> names{"source", "source_alpha", "destination_alpha"};
  std::array<Tensor, 3> fitted;
  std::uint32_t frames = below->frames;
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto tensor = fit(*call.tensor(names[i]), *below, *call.watch);
    if (!tensor) return std::unexpected(std::move(tensor).error());
    fitted[i] = std::move(*tensor);
    frames = std::min(frames, fitted[i].frames);
  }
  auto colours = make_tensor(frames, below->height, below->width, below->channels);
  auto masks = make_tensor(frames, below->height, below->width, 1);
  if (!colours || !masks) return std::unexpected(std::move(colours ? masks : colours).error());
  for (std::size_t frame = 0; frame < frames; ++frame) {
    mix_frame(frame, {&fitted[0], &fitted[1], below.get(), &fitted[2]}, named->rule, *colours, *masks);
    if (!call.watch->advance(frame + 1, frames)) return interrupted();
  }
  NodeOutput output = one_tensor(std::move(*colours));
  output.values.emplace_back(std::make_shared<const Tensor>(std::move(*masks)));
  return output;
}

}  // namespace

NodeClass porter_duff_image_composite_node() {
  return {
      "PorterDuffImageComposite",
      R"info({"input":{"required":{"source":["IMAGE",{}],"source_alpha":["MASK",{}],"destination":["IMAGE",
{}],
"destination_alpha":["MASK",{}],"mode":["COMBO",{"default":"DST","multiselect":false,"options":["ADD",
"CLEAR","DARKEN","DST","DST_ATOP","DST_IN","DST_OUT","DST_OVER","LIGHTEN","MULTIPLY","OVERLAY","SCREEN",
"SRC","SRC_ATOP","SRC_IN","SRC_OUT","SRC_OVER","XOR"]}]}},"input_order":{"required":["source",
"source_alpha","destination","destination_alpha","mode"]},"is_input_list":false,"output":["IMAGE","MASK"],
"output_is_list":[false,false],"output_name":["IMAGE","MASK"],"output_tooltips":[null,null],
"output_matchtypes":null,"name":"PorterDuffImageComposite","display_name":"Porter-Duff Image Composite",
"description":"","python_module":"comfy_extras.nodes_compositing","category":"mask/compositing",
"output_node":false,"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,
"price_badge":null,"search_aliases":["alpha composite","blend modes","layer blend","transparency blend"],
"essentials_category":null,"has_intermediate_output":false})info",
      false, run};
}

}  // namespace atelier::rehearsal
