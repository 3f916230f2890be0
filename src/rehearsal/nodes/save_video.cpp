// SPDX-License-Identifier: MIT
// SaveVideo, SaveWEBM: pictures as a video file with the prompt and the workflow in its metadata. A video
// that comes from a file keeps its streams as they are.
#include <algorithm>

#include "rehearsal/channels.hpp"
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/nodes/save_files.hpp"

namespace atelier::rehearsal {
namespace {

NodeResult<std::string> encode(const NodeCall& call, const Tensor& images,
                               const image::VideoOptions& options) {
  const auto frame = [&](std::uint32_t number) -> std::optional<image::Picture8> {
    if (!call.watch->advance(number, images.frames)) return std::nullopt;
    return to_bytes(images, number);
  };
  auto bytes = image::encode_video(images.frames, frame, *call.metadata, options);
  if (!bytes) return std::unexpected(video_failure(bytes.error()));
  return std::move(*bytes);
}

NodeResult<NodeOutput> finish(const SavePlace& place, std::string_view ending,
                              const NodeResult<std::string>& bytes) {
  if (!bytes) return std::unexpected(bytes.error());
  auto output = save_single(place, ending, *bytes);
  if (output) output->animated = true;
  return output;
}

NodeResult<NodeOutput> save_pictures(const NodeCall& call, const Video& video) {
  const Tensor& images = *video.images;
  const auto place =
      place_for(call, comfy::FileType::output, call.text("filename_prefix"), images.width, images.height);
  if (!place) return std::unexpected(place.error());
  if (images.channels != 3)
    return node_failure("ValueError", "a video is made of pictures without an alpha channel");
  image::VideoOptions options;
  options.rate = image::rate_in_thousandths(video.per_second);
  return finish(*place, ".mp4", encode(call, images, options));
}

NodeResult<NodeOutput> run_video(const NodeCall& call) {
  const VideoPtr video = call.video("video");
  if (video->images) return save_pictures(call, *video);
  const auto bytes = read_video_file(video->file);
  if (!bytes) return std::unexpected(bytes.error());
  const auto facts = image::read_video_facts(*bytes);
  if (!facts) return std::unexpected(video_failure(facts.error()));
  // The streams stay unless something else was asked for by name.
  if ((call.text("format") == "mp4" && !facts->mp4) || (call.text("codec") == "h264" && !facts->h264)) {
    const auto parts = decoded(call, *video);
    if (!parts) return std::unexpected(parts.error());
    return save_pictures(call, *parts);
  }
  const auto place =
      place_for(call, comfy::FileType::output, call.text("filename_prefix"), facts->width, facts->height);
  if (!place) return std::unexpected(place.error());
  auto copied = image::remux_video(*bytes, *call.metadata);
  if (!copied) return std::unexpected(video_failure(copied.error()));
  return finish(*place, ".mp4", std::move(*copied));
}

NodeResult<NodeOutput> run_webm(const NodeCall& call) {
  const Tensor images = with_channels(*call.tensor("images"), 3);
  const auto place =
      place_for(call, comfy::FileType::output, call.text("filename_prefix"), images.width, images.height);
  if (!place) return std::unexpected(place.error());
  image::VideoOptions options;
  options.codec = call.text("codec") == "av1" ? image::VideoCodec::av1 : image::VideoCodec::vp9;
  options.rate = image::rate_in_thousandths(call.number("fps"));
  options.crf = call.number("crf");
  return finish(*place, ".webm", encode(call, images, options));
}

}  // namespace

NodeClass save_video_node() {
  return {
      "SaveVideo",
      R"info({"input":{"required":{"video":["VIDEO",{"tooltip":"What to write."}],"filename_prefix":["STRING",
{"tooltip":"How the name begins; folders (sub/name) and tokens (%date:yyyy-MM-dd%, %width%) are allowed.",
"default":"video/ComfyUI","multiline":false}],"format":["COMBO",{"tooltip":"The container.",
"default":"auto","multiselect":false,"options":["auto","mp4"]}],"codec":["COMBO",
{"tooltip":"How the pictures are packed.","default":"auto","multiselect":false,"options":["auto","h264"]}]},
"hidden":{"prompt":["PROMPT"],"extra_pnginfo":["EXTRA_PNGINFO"]}},"input_order":{"required":["video",
"filename_prefix","format","codec"],"hidden":["prompt","extra_pnginfo"]},"is_input_list":false,"output":[],
"output_is_list":[],"output_name":[],"output_tooltips":[],"output_matchtypes":null,"name":"SaveVideo",
"display_name":"Save Video",
"description":"Writes a video file with its workflow inside into your output folder.",
"python_module":"comfy_extras.nodes_video","category":"video","output_node":true,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":["export video"],
"essentials_category":"Basics","has_intermediate_output":false})info",
      true, run_video};
}

NodeClass save_webm_node() {
  return {"SaveWEBM",
          R"info({"input":{"required":{"images":["IMAGE",{}],"filename_prefix":["STRING",{"default":"ComfyUI",
"multiline":false}],"codec":["COMBO",{"multiselect":false,"options":["vp9","av1"]}],"fps":["FLOAT",
{"default":24.0,"min":0.01,"max":1000.0,"step":0.01}],"crf":["FLOAT",
{"tooltip":"0 is the best picture and the largest file, 63 the opposite.","default":32.0,"min":0,"max":63.0,
"step":1}]},"hidden":{"prompt":["PROMPT"],"extra_pnginfo":["EXTRA_PNGINFO"]}},
"input_order":{"required":["images","filename_prefix","codec","fps","crf"],"hidden":["prompt",
"extra_pnginfo"]},"is_input_list":false,"output":[],"output_is_list":[],"output_name":[],
"output_tooltips":[],"output_matchtypes":null,"name":"SaveWEBM","display_name":"Save WEBM","description":"",
"python_module":"comfy_extras.nodes_video","category":"video","output_node":true,"deprecated":false,
"experimental":true,"dev_only":false,"api_node":false,"price_badge":null,"search_aliases":["export webm"],
"essentials_category":null,"has_intermediate_output":false})info",
          true, run_webm};
}

}  // namespace atelier::rehearsal
