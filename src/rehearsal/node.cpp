// SPDX-License-Identifier: MIT
#include "rehearsal/node.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

template <class Pointer>
Pointer pointer_in(const NodeCall& call, std::string_view name) {
  const auto found = call.inputs.find(name);
  const auto* pointer = found == call.inputs.end() ? nullptr : std::get_if<Pointer>(&found->second);
  if (pointer == nullptr || !*pointer)
    throw std::logic_error(fmt::format("the input {} was not checked", name));
  return *pointer;
}

}  // namespace

std::int64_t NodeCall::integer(std::string_view name) const {
  const auto found = inputs.find(name);
  if (found == inputs.end()) return 0;
  if (const auto* whole = std::get_if<std::int64_t>(&found->second)) return *whole;
  if (const auto* real = std::get_if<double>(&found->second)) return static_cast<std::int64_t>(*real);
  return 0;
}

double NodeCall::number(std::string_view name) const {
  const auto found = inputs.find(name);
  if (found == inputs.end()) return 0;
  if (const auto* real = std::get_if<double>(&found->second)) return *real;
  return static_cast<double>(integer(name));
}

std::string NodeCall::text(std::string_view name) const {
  const auto found = inputs.find(name);
  const auto* text = found == inputs.end() ? nullptr : std::get_if<std::string>(&found->second);
  return text ? *text : std::string();
}

bool NodeCall::has(std::string_view name) const { return inputs.contains(name); }

TensorPtr NodeCall::tensor(std::string_view name) const { return pointer_in<TensorPtr>(*this, name); }

VideoPtr NodeCall::video(std::string_view name) const { return pointer_in<VideoPtr>(*this, name); }

NodeResult<Tensor> make_tensor(std::uint64_t frames, std::uint64_t height, std::uint64_t width,
                               std::uint32_t channels) {
  const bool fits = frames <= kTensorPixelsMax && height <= kTensorPixelsMax && width <= kTensorPixelsMax &&
                    frames * height <= kTensorPixelsMax && frames * height * width <= kTensorPixelsMax;
  if (!fits) {
    return node_failure("RuntimeError",
                        fmt::format("{} pictures of {} x {} are more than the {} million pixels that the "
                                    "rehearsal engine holds at once",
                                    frames, width, height, kTensorPixelsMax / 1'000'000));
  }
  Tensor tensor{static_cast<std::uint32_t>(width),
                static_cast<std::uint32_t>(height),
                static_cast<std::uint32_t>(frames),
                channels,
                {}};
  tensor.samples.resize(tensor.frame_length() * tensor.frames);
  return tensor;
}

NodeOutput one_tensor(Tensor tensor) {
  NodeOutput output;
  output.values.emplace_back(std::make_shared<const Tensor>(std::move(tensor)));
  return output;
}

const std::vector<NodeClass>& node_classes() {
  static const std::vector<NodeClass> classes = [] {
    std::vector<NodeClass> all{
        load_image_node(),
        save_image_node(),
        preview_image_node(),
        image_scale_node(),
        image_invert_node(),
        image_batch_node(),
        empty_image_node(),
        image_crop_node(),
        solid_mask_node(),
        invert_mask_node(),
        mask_to_image_node(),
        image_flip_node(),
        image_rotate_node(),
        image_pad_for_outpaint_node(),
        resize_and_pad_image_node(),
        image_scale_by_node(),
        image_scale_to_total_pixels_node(),
        image_blend_node(),
        image_blur_node(),
        image_sharpen_node(),
        image_composite_masked_node(),
        porter_duff_image_composite_node(),
        split_image_with_alpha_node(),
        join_image_with_alpha_node(),
        image_to_mask_node(),
        image_from_batch_node(),
        repeat_image_batch_node(),
        image_quantize_node(),
        save_animated_png_node(),
        save_animated_webp_node(),
        create_video_node(),
        load_video_node(),
        get_video_components_node(),
        save_video_node(),
        save_webm_node(),
        crop_mask_node(),
        feather_mask_node(),
        grow_mask_node(),
        threshold_mask_node(),
        mask_composite_node(),
        image_color_to_mask_node(),
        image_scale_to_max_dimension_node(),
        load_image_mask_node(),
        image_crop_v2_node(),
        bounding_box_node(),
        mask_preview_node(),
    };
    std::ranges::sort(all, {}, &NodeClass::name);
    return all;
  }();
  return classes;
}

const NodeClass* find_node_class(std::string_view name) {
  const auto& classes = node_classes();
  const auto found = std::ranges::lower_bound(classes, name, {}, &NodeClass::name);
  return found != classes.end() && found->name == name ? &*found : nullptr;
}

std::string object_info_text() {
  std::string text = "{";
  for (const NodeClass& node : node_classes()) {
    text += fmt::format("{}\"{}\":{}", text.size() > 1 ? "," : "", node.name, node.info);
  }
  return text + "}";
}

}  // namespace atelier::rehearsal
