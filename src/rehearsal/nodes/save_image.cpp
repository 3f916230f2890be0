// SPDX-License-Identifier: MIT
// SaveImage and PreviewImage: each picture of a batch as an 8-bit PNG with the prompt and the workflow
// inside.
#include <fmt/format.h>

#include <span>

#include "base/result.hpp"
#include "image/encode.hpp"
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/nodes/save_files.hpp"

namespace atelier::rehearsal {
namespace {

struct Save {
  comfy::FileType type;
  std::string prefix;
  int compression;
  std::span<const image::PngText> texts;
};

NodeResult<std::string> encode(const Tensor& images, std::uint32_t frame, const Save& how) {
  const image::Picture8 picture = to_bytes(images, frame);
  auto bytes = image::encode_png(image::view(picture), how.texts, how.compression);
  if (!bytes) return node_failure("ValueError", bytes.error().what);
  return std::move(*bytes);
}

NodeResult<NodeOutput> save(const NodeCall& call, const Tensor& images, const Save& how) {
  const auto place = place_for(call, how.type, how.prefix, images.width, images.height);
  if (!place) return std::unexpected(place.error());
  NodeOutput output;
  for (std::uint32_t frame = 0; frame < images.frames; ++frame) {
    if (!call.watch->advance(frame, images.frames)) return interrupted();
    auto bytes = encode(images, frame, how);
    if (!bytes) return std::unexpected(std::move(bytes).error());
    std::string stem = place->stem;
    for (auto at = stem.find("%batch_num%"); at != std::string::npos; at = stem.find("%batch_num%")) {
      stem.replace(at, 11, fmt::to_string(frame));
    }
    std::string name = numbered_name(stem, place->counter + frame, ".png");
    if (auto written = write_file(place->folder + "/" + name, *bytes); !written) {
      return node_failure("OSError", written.error().what);
    }
    output.images.push_back({std::move(name), place->subfolder, std::string(comfy::to_string(how.type))});
  }
  return output;
}

Save preview_of(const NodeCall& call, std::span<const image::PngText> texts) {
  return {comfy::FileType::temp, "ComfyUI_temp_" + call.temp_letters, 1, texts};
}

NodeResult<NodeOutput> run_save(const NodeCall& call) {
  return save(call, *call.tensor("images"),
              {comfy::FileType::output, call.text("filename_prefix"), 4, *call.metadata});
}

NodeResult<NodeOutput> run_preview(const NodeCall& call) {
  return save(call, *call.tensor("images"), preview_of(call, *call.metadata));
}

}  // namespace

NodeResult<NodeOutput> show_pictures(const NodeCall& call, const Tensor& images) {
  auto output = save(call, images, preview_of(call, {}));
  if (output) output->animated = false;
  return output;
}

NodeClass save_image_node() {
  return {"SaveImage", R"({"input":{"required":{
"images":["IMAGE",{"tooltip":"Pictures to write, one file each."}],
"filename_prefix":["STRING",{"default":"ComfyUI",
"tooltip":"How the names begin; folders (sub/name) and tokens (%date:yyyy-MM-dd%, %width%) are allowed."}]},
"hidden":{"prompt":"PROMPT","extra_pnginfo":"EXTRA_PNGINFO"}},
"input_order":{"required":["images","filename_prefix"],"hidden":["prompt","extra_pnginfo"]},
"is_input_list":false,
"output":[],"output_is_list":[],"output_name":[],"name":"SaveImage","display_name":"Save Image",
"description":"Writes pictures into your output folder as PNG files that carry their workflow.",
"python_module":"nodes","category":"image","output_node":true,"has_intermediate_output":false,
"search_aliases":["save","save image","export image","output image","write image","download"],
"essentials_category":"Basics"})",
          true, run_save};
}

NodeClass preview_image_node() {
  return {"PreviewImage", R"({"input":{"required":{"images":["IMAGE"]},
"hidden":{"prompt":"PROMPT","extra_pnginfo":"EXTRA_PNGINFO"}},
"input_order":{"required":["images"],"hidden":["prompt","extra_pnginfo"]},"is_input_list":false,
"output":[],"output_is_list":[],"output_name":[],"name":"PreviewImage","display_name":"Preview Image",
"description":"Shows pictures without keeping them: the files lie in the temporary folder.",
"python_module":"nodes","category":"image","output_node":true,"has_intermediate_output":false,
"search_aliases":["preview","preview image","show image","view image","display image","image viewer"],
"essentials_category":"Basics"})",
          true, run_preview};
}

}  // namespace atelier::rehearsal
