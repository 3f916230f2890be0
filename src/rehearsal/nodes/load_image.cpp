// SPDX-License-Identifier: MIT
// LoadImage: a file of the input folder (or, annotated, of another one) as IMAGE and MASK. LoadImageMask: one
// channel of it.
#include "base/result.hpp"
#include "comfy/files.hpp"
#include "image/decode.hpp"
#include "rehearsal/nodes/nodes.hpp"

namespace atelier::rehearsal {
namespace {

// RGB and 1 - alpha, or RGB and 64 x 64 zeros per frame when the file knows no transparency (ComfyUI 0.21,
// LoadImage).
NodeResult<NodeOutput> split(const Tensor& picture) {
  if (picture.channels == 3) {
    auto mask = make_tensor(picture.frames, 64, 64, 1);
    if (!mask) return std::unexpected(std::move(mask).error());
    NodeOutput output = one_tensor(picture);
    output.values.emplace_back(std::make_shared<const Tensor>(std::move(*mask)));
    return output;
  }
  Tensor colours{picture.width, picture.height, picture.frames, 3, {}},
      mask{picture.width, picture.height, picture.frames, 1, {}};
  const std::size_t pixels = picture.samples.size() / 4;
  colours.samples.reserve(pixels * 3);
  mask.samples.reserve(pixels);
  for (std::size_t i = 0; i < pixels; ++i) {
    const float* pixel = picture.samples.data() + i * 4;
    colours.samples.insert(colours.samples.end(), pixel, pixel + 3);
    mask.samples.push_back(1.0F - pixel[3]);
  }
  NodeOutput output = one_tensor(std::move(colours));
  output.values.emplace_back(std::make_shared<const Tensor>(std::move(mask)));
  return output;
}

NodeResult<NodeOutput> run(const NodeCall& call) {
  const std::string text = call.text("image");
  const comfy::AnnotatedName name = comfy::split_annotation(text);
  const auto path = call.folders->resolve(name.type_or(comfy::FileType::input), name.name);
  if (!path) return node_failure("av.error.FileNotFoundError", "There is no file '" + text + "'");
  const auto bytes = read_file(*path);
  if (!bytes) {
    return node_failure(bytes.error().code == Errc::not_found ? "av.error.FileNotFoundError" : "OSError",
                        "'" + text + "' cannot be read: " + bytes.error().what);
  }
  image::DecodeLimits limits;
  limits.pixels_max = kTensorPixelsMax;
  auto picture = image::decode_float(*bytes, limits);
  if (!picture) {
    const bool large = picture.error().code == Errc::too_large;
    return node_failure(large ? "RuntimeError" : "av.error.InvalidDataError",
                        "'" + text + "': " + picture.error().what);
  }
  return split(*picture);
}

NodeResult<NodeOutput> run_mask(const NodeCall& call) {
  auto loaded = run(call);
  if (!loaded) return loaded;
  const std::string channel = call.text("channel");
  if (channel == "alpha") {
    loaded->values.erase(loaded->values.begin());
    return loaded;
  }
  const Tensor& image = *std::get<TensorPtr>(loaded->values.front());
  const std::size_t place = channel == "blue" ? 2 : channel == "green" ? 1 : 0;
  Tensor mask{image.width, image.height, image.frames, 1, {}};
  mask.samples.reserve(image.samples.size() / 3);
  for (std::size_t i = place; i < image.samples.size(); i += 3) mask.samples.push_back(image.samples[i]);
  return one_tensor(std::move(mask));
}

}  // namespace

NodeClass load_image_mask_node() {
  return {"LoadImageMask",
          R"info({"input":{"required":{"image":[[],{"image_upload":true}],"channel":[["alpha","red","green",
"blue"]]}},
"input_order":{"required":["image","channel"]},"is_input_list":false,"output":["MASK"],
"output_is_list":[false],"output_name":["MASK"],"name":"LoadImageMask",
"display_name":"Load Image (as Mask)","description":"","python_module":"nodes","category":"mask",
"output_node":false,"has_intermediate_output":false,"search_aliases":["import mask","alpha mask",
"channel mask"],"essentials_category":"Image Tools"})info",
          false, run_mask};
}

NodeClass load_image_node() {
  return {"LoadImage", R"({"input":{"required":{"image":[[],{"image_upload":true}]}},
"input_order":{"required":["image"]},"is_input_list":false,"output":["IMAGE","MASK"],
"output_is_list":[false,false],
"output_name":["IMAGE","MASK"],"name":"LoadImage","display_name":"Load Image","description":"",
"python_module":"nodes","category":"image","output_node":false,"has_intermediate_output":false,
"search_aliases":["load image","open image","import image","image input","upload image","read image",
"image loader"],
"essentials_category":"Basics"})",
          false, run};
}

}  // namespace atelier::rehearsal
