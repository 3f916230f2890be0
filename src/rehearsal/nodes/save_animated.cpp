// SPDX-License-Identifier: MIT
// SaveAnimatedPNG, SaveAnimatedWEBP: a batch as one file that moves, with the prompt and the workflow inside.
#include <fmt/format.h>

#include <algorithm>

#include "image/animation.hpp"
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/nodes/save_files.hpp"

namespace atelier::rehearsal {
namespace {

using Encode = Result<std::string> (*)(const NodeCall& call, const image::Picture8& frames,
                                       std::uint32_t frame_ms, const image::KeepGoing& keep_going);

Result<std::string> encode_png(const NodeCall& call, const image::Picture8& frames, std::uint32_t frame_ms,
                               const image::KeepGoing& keep_going) {
  return image::encode_animated_png(frames, frame_ms, *call.metadata,
                                    static_cast<int>(call.integer("compress_level")), keep_going);
}

Result<std::string> encode_webp(const NodeCall& call, const image::Picture8& frames, std::uint32_t frame_ms,
                                const image::KeepGoing& keep_going) {
  const std::string method = call.text("method");
  image::WebpOptions options;
  options.lossless = call.integer("lossless") != 0;
  options.quality = static_cast<int>(call.integer("quality"));
  options.method = method == "fastest" ? 0 : method == "slowest" ? 6 : 4;
  return image::encode_animated_webp(frames, frame_ms, *call.metadata, options, keep_going);
}

NodeResult<NodeOutput> save(const NodeCall& call, std::string_view ending, Encode encode) {
  const TensorPtr images = call.tensor("images");
  const auto place =
      place_for(call, comfy::FileType::output, call.text("filename_prefix"), images->width, images->height);
  if (!place) return std::unexpected(place.error());
  std::uint32_t done = 0;
  const auto keep_going = [&] { return call.watch->advance(done++, images->frames); };
  const auto frame_ms = static_cast<std::uint32_t>(1000.0 / std::max(call.number("fps"), 0.01));
  const auto bytes = encode(call, all_to_bytes(*images), frame_ms, keep_going);
  if (!bytes && bytes.error().code == Errc::cancelled) return interrupted();
  if (!bytes) return node_failure("ValueError", bytes.error().what);
  auto output = save_single(*place, ending, *bytes);
  if (output && images->frames > 1) output->animated = true;
  return output;
}

NodeResult<NodeOutput> run_png(const NodeCall& call) { return save(call, ".png", encode_png); }
NodeResult<NodeOutput> run_webp(const NodeCall& call) { return save(call, ".webp", encode_webp); }

}  // namespace

NodeClass save_animated_png_node() {
  return {"SaveAnimatedPNG",
          R"info({"input":{"required":{"images":["IMAGE",{}],"filename_prefix":["STRING",{"default":"ComfyUI",
"multiline":false}],"fps":["FLOAT",{"default":6.0,"min":0.01,"max":1000.0,"step":0.01}],
"compress_level":["INT",{"advanced":true,"default":4,"min":0,"max":9}]},"hidden":{"prompt":["PROMPT"],
"extra_pnginfo":["EXTRA_PNGINFO"]}},"input_order":{"required":["images","filename_prefix","fps",
"compress_level"],"hidden":["prompt","extra_pnginfo"]},"is_input_list":false,"output":[],
"output_is_list":[],"output_name":[],"output_tooltips":[],"output_matchtypes":null,"name":"SaveAnimatedPNG",
"display_name":null,"description":"","python_module":"comfy_extras.nodes_images",
"category":"image/animation","output_node":true,"deprecated":false,"experimental":false,"dev_only":false,
"api_node":false,"price_badge":null,"search_aliases":null,"essentials_category":null,
"has_intermediate_output":false})info",
          true, run_png};
}

NodeClass save_animated_webp_node() {
  return {"SaveAnimatedWEBP",
          R"info({"input":{"required":{"images":["IMAGE",{}],"filename_prefix":["STRING",{"default":"ComfyUI",
"multiline":false}],"fps":["FLOAT",{"default":6.0,"min":0.01,"max":1000.0,"step":0.01}],
"lossless":["BOOLEAN",{"default":true}],"quality":["INT",{"default":80,"min":0,"max":100}],
"method":["COMBO",{"multiselect":false,"options":["default","fastest","slowest"]}]},
"hidden":{"prompt":["PROMPT"],"extra_pnginfo":["EXTRA_PNGINFO"]}},"input_order":{"required":["images",
"filename_prefix","fps","lossless","quality","method"],"hidden":["prompt","extra_pnginfo"]},
"is_input_list":false,"output":[],"output_is_list":[],"output_name":[],"output_tooltips":[],
"output_matchtypes":null,"name":"SaveAnimatedWEBP","display_name":null,"description":"",
"python_module":"comfy_extras.nodes_images","category":"image/animation","output_node":true,
"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":null,"essentials_category":null,"has_intermediate_output":false})info",
          true, run_webp};
}

}  // namespace atelier::rehearsal
