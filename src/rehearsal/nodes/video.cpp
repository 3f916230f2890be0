// SPDX-License-Identifier: MIT
// CreateVideo, LoadVideo, GetVideoComponents: pictures at a rate, a video file, and one as the other. Sound
// stays in a file that is saved as it is; there is no AUDIO in this engine.
#include "comfy/files.hpp"
#include "rehearsal/nodes/nodes.hpp"
#include "rehearsal/nodes/save_files.hpp"

namespace atelier::rehearsal {
namespace {

NodeOutput one_video(Video video) {
  NodeOutput output;
  output.values.emplace_back(std::make_shared<const Video>(std::move(video)));
  return output;
}

NodeResult<NodeOutput> run_create(const NodeCall& call) {
  return one_video({call.tensor("images"), call.number("fps"), {}});
}

NodeResult<NodeOutput> run_load(const NodeCall& call) {
  const std::string text = call.text("file");
  const comfy::AnnotatedName name = comfy::split_annotation(text);
  const auto path = call.folders->resolve(name.type_or(comfy::FileType::input), name.name);
  if (!path) return node_failure("av.error.FileNotFoundError", "There is no file '" + text + "'");
  // ComfyUI, too, opens the file where it is used.
  return one_video({nullptr, 0, *path});
}

NodeResult<NodeOutput> run_components(const NodeCall& call) {
  const auto parts = decoded(call, *call.video("video"));
  if (!parts) return std::unexpected(parts.error());
  NodeOutput output;
  output.values = {parts->images, std::monostate(), parts->per_second};
  return output;
}

}  // namespace

NodeClass create_video_node() {
  return {"CreateVideo",
          R"info({"input":{"required":{"images":["IMAGE",{"tooltip":"The pictures, in their order."}],
"fps":["FLOAT",
{"default":30.0,"min":1.0,"max":120.0,"step":1.0}]},"optional":{"audio":["AUDIO",
{"tooltip":"The sound; this engine has none."}]}},"input_order":{"required":["images","fps"],
"optional":["audio"]},"is_input_list":false,"output":["VIDEO"],"output_is_list":[false],
"output_name":["VIDEO"],"output_tooltips":[null],"output_matchtypes":null,"name":"CreateVideo",
"display_name":"Create Video","description":"Pictures one after the other as a video.",
"python_module":"comfy_extras.nodes_video","category":"video","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":["images to video"],"essentials_category":null,"has_intermediate_output":false})info",
          false, run_create};
}

NodeClass load_video_node() {
  return {
      "LoadVideo",
      R"info({"input":{"required":{"file":["COMBO",{"multiselect":false,"options":[],"video_upload":true}]}},
"input_order":{"required":["file"]},"is_input_list":false,"output":["VIDEO"],"output_is_list":[false],
"output_name":["VIDEO"],"output_tooltips":[null],"output_matchtypes":null,"name":"LoadVideo",
"display_name":"Load Video","description":"","python_module":"comfy_extras.nodes_video","category":"video",
"output_node":false,"deprecated":false,"experimental":false,"dev_only":false,"api_node":false,
"price_badge":null,"search_aliases":["import video","open video","video file"],
"essentials_category":"Basics","has_intermediate_output":false})info",
      false, run_load};
}

NodeClass get_video_components_node() {
  return {"GetVideoComponents",
          R"info({"input":{"required":{"video":["VIDEO",{"tooltip":"What to take apart."}]}},
"input_order":{"required":["video"]},"is_input_list":false,"output":["IMAGE","AUDIO","FLOAT"],
"output_is_list":[false,false,false],"output_name":["images","audio","fps"],"output_tooltips":[null,null,
null],"output_matchtypes":null,"name":"GetVideoComponents","display_name":"Get Video Components",
"description":"Takes a video apart into pictures, sound and rate.",
"python_module":"comfy_extras.nodes_video","category":"video","output_node":false,"deprecated":false,
"experimental":false,"dev_only":false,"api_node":false,"price_badge":null,
"search_aliases":["extract frames","split video","video to images","demux"],"essentials_category":null,
"has_intermediate_output":false})info",
          false, run_components};
}

}  // namespace atelier::rehearsal
