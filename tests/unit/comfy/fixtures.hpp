// SPDX-License-Identifier: MIT
#pragma once
// A small catalog with the interface facts of stock nodes (types, limits, defaults), and helpers over JSON
// text.

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "comfy/json.hpp"
#include "comfy/object_info.hpp"
#include "comfy/prompt.hpp"
#include "comfy/validate.hpp"

namespace atelier::comfy::fixtures {

inline constexpr std::string_view kObjectInfo = R"json({
"SaveImage":{"input":{"required":{"images":["IMAGE",{"tooltip":"what to save"}],"filename_prefix":["STRING",{"default":"ComfyUI","tooltip":"how to call it"}]},
  "hidden":{"prompt":"PROMPT","extra_pnginfo":"EXTRA_PNGINFO"}},"input_order":{"required":["images","filename_prefix"],"hidden":["prompt","extra_pnginfo"]},
  "is_input_list":false,"output":[],"output_is_list":[],"output_name":[],"name":"SaveImage","display_name":"Save Image","description":"","python_module":"nodes","category":"image","output_node":true},
"PreviewImage":{"input":{"required":{"images":["IMAGE"]},"hidden":{"prompt":"PROMPT","extra_pnginfo":"EXTRA_PNGINFO"}},"output":[],"name":"PreviewImage","output_node":true},
"EmptyImage":{"input":{"required":{"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],"height":["INT",{"default":512,"min":1,"max":16384,"step":1}],
  "batch_size":["INT",{"default":1,"min":1,"max":4096}],"color":["INT",{"default":0,"min":0,"max":16777215,"step":1,"display":"color"}]}},"output":["IMAGE"],"name":"EmptyImage","output_node":false},
"LoadImage":{"input":{"required":{"image":[["alien.png","secret of another.png"],{"image_upload":true}]}},"output":["IMAGE","MASK"],"name":"LoadImage","output_node":false},
"LoadImageMask":{"input":{"required":{"image":[["alien.png"],{"image_upload":true}],"channel":[["alpha","red","green","blue"]]}},"output":["MASK"],"name":"LoadImageMask","output_node":false},
"LoadImageOutput":{"input":{"required":{"image":["COMBO",{"image_upload":true,"image_folder":"output","remote":{"route":"/internal/files/output","refresh_button":true,"control_after_refresh":"first"}}]}},"output":["IMAGE","MASK"],"name":"LoadImageOutput","output_node":false},
"LoadVideo":{"input":{"required":{"file":["COMBO",{"multiselect":false,"options":["x.mp4"],"video_upload":true}]}},"output":["VIDEO"],"name":"LoadVideo","output_node":false,"price_badge":null},
"LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["of another"]}]}},"output":["IMAGE"],"name":"LoadImageDataSetFromFolder","output_node":false},
"Load3D":{"input":{"required":{"model_file":["COMBO",{"options":["3d/x.glb"],"file_upload":true}],"image":["LOAD_3D",{}]}},"output":["IMAGE"],"name":"Load3D","output_node":false,"price_badge":null},
"ImageScale":{"input":{"required":{"image":["IMAGE"],"upscale_method":[["nearest-exact","bilinear","area","bicubic","lanczos"]],"width":["INT",{"default":512,"min":0,"max":16384,"step":1}],
  "height":["INT",{"default":512,"min":0,"max":16384,"step":1}],"crop":[["disabled","center"]]}},"output":["IMAGE"],"name":"ImageScale","output_node":false},
"ImageInvert":{"input":{"required":{"image":["IMAGE"]}},"output":["IMAGE"],"name":"ImageInvert","output_node":false},
"ImageBatch":{"input":{"required":{"image1":["IMAGE"],"image2":["IMAGE"]}},"output":["IMAGE"],"name":"ImageBatch","output_node":false,"deprecated":true},
"ImageCrop":{"input":{"required":{"image":["IMAGE",{}],"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],"height":["INT",{"default":512,"min":1,"max":16384,"step":1}],
  "x":["INT",{"default":0,"min":0,"max":16384,"step":1}],"y":["INT",{"default":0,"min":0,"max":16384,"step":1}]}},"output":["IMAGE"],"name":"ImageCrop","output_node":false,"price_badge":null},
"SolidMask":{"input":{"required":{"value":["FLOAT",{"default":1.0,"min":0.0,"max":1.0,"step":0.01}],"width":["INT",{"default":512,"min":1,"max":16384,"step":1}],
  "height":["INT",{"default":512,"min":1,"max":16384,"step":1}]}},"output":["MASK"],"name":"SolidMask","output_node":false,"price_badge":null},
"MaskToImage":{"input":{"required":{"mask":["MASK",{}]}},"output":["IMAGE"],"name":"MaskToImage","output_node":false,"price_badge":null},
"InvertMask":{"input":{"required":{"mask":["MASK",{}]}},"output":["MASK"],"name":"InvertMask","output_node":false,"price_badge":null},
"Any":{"input":{"optional":{"anything":["*"],"either":["IMAGE,MASK",{}],"text":["STRING",{}],"yes":["BOOLEAN",{}],"list":[["a","b"]],"many":["COMBO",{"multiselect":true,"options":["a","b"]}],
  "number":["FLOAT",{"min":0.5}],"remote":["COMBO",{"remote":{"route":"/x"}}]}},"output":["IMAGE"],"name":"Any","output_node":false},
"OptionalPrefix":{"input":{"required":{"images":["IMAGE"]},"optional":{"filename_prefix":["STRING",{"default":"video/clip"}]}},"output":[],"name":"OptionalPrefix","output_node":true},
"Many":{"input":{"required":{"choice":[["0","1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17","18","19","20"]]}},"output":[],"name":"Many","output_node":true},
"Loader":{"input":{"required":{"ckpt_name":[["a.safetensors","z.safetensors"],{}],"lora_name":[["None","x.pt"]]}},"output":["MODEL"],"name":"Loader","output_node":false},
"Grow":{"input":{"required":{"images":["COMFY_AUTOGROW_V3",{"template":{"input":{"required":{"image":["IMAGE",{}]}},"prefix":"image","min":1,"max":3}}],
  "mode":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"plain","inputs":{"required":{}}},{"key":"sized","inputs":{"required":{"size":["INT",{"min":1}]}}}]}]}},"output":["IMAGE"],"name":"Grow","output_node":true,"price_badge":null},
"Partner":{"input":{"required":{}},"output":[],"name":"Partner","output_node":true,"api_node":true},
"PartnerAsset":{"input":{"required":{}},"output":[],"name":"PartnerAsset","output_node":true,"python_module":"comfy_api_nodes.nodes_x","api_node":false},
"PartnerPlain":{"input":{"required":{}},"output":[],"name":"PartnerPlain","output_node":true,"python_module":"comfy_api_nodes"},
"NoPartner":{"input":{"required":{}},"output":[],"name":"NoPartner","output_node":true,"python_module":"comfy_api_nodes_of_mine"},
"Broken":7})json";

inline const ObjectInfo& catalog() {
  static const ObjectInfo info = ObjectInfo::parse(kObjectInfo).value();
  return info;
}

inline boost::json::value read(std::string_view text) { return Json::parse(text).value().value(); }

/// A request that holds this graph.
inline PromptRequest request(std::string_view graph, std::string_view more = "") {
  std::string body = R"({"prompt":)";
  body += graph;
  body += more;
  body += '}';
  auto parsed = parse_prompt_request(body);
  REQUIRE(parsed.has_value());
  return std::move(*parsed);
}

inline const FileLookup kNoFiles = [](FileType, std::string_view) { return false; };
inline const FileLookup kAllFiles = [](FileType, std::string_view) { return true; };

/// The first error of a node, or null.
inline boost::json::value first_error(const Validation& validation, std::string_view node) {
  const auto* entry = validation.node_errors.object().if_contains(node);
  if (entry == nullptr) return nullptr;
  return entry->at("errors").at(0);
}

}  // namespace atelier::comfy::fixtures
