// SPDX-License-Identifier: MIT
#include "comfy/node_replacements.hpp"

#include <boost/json.hpp>
#include <string_view>

#include "comfy/input_spec.hpp"
#include "comfy/json.hpp"
#include "comfy/prompt_graph.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

/// Old class -> its replacement, as ComfyUI 0.21.0 prints them.
const json::object& replacements() {
  static const json::value table = json::parse(R"({
"ResizeImagesByLongerEdge":{"new_node_id":"ImageScaleToMaxDimension","old_node_id":"ResizeImagesByLongerEdge",
  "old_widget_ids":["longer_edge"],
  "input_mapping":[{"new_id":"image","old_id":"images"},{"new_id":"largest_size","old_id":"longer_edge"},
    {"new_id":"upscale_method","set_value":"lanczos"}],
  "output_mapping":[{"new_idx":0,"old_idx":0}]},
"ImageBatch":{"new_node_id":"BatchImagesNode","old_node_id":"ImageBatch","old_widget_ids":null,
  "input_mapping":[{"new_id":"images.image0","old_id":"image1"},{"new_id":"images.image1","old_id":"image2"}],
  "output_mapping":null},
"ImageScaleBy":{"new_node_id":"ResizeImageMaskNode","old_node_id":"ImageScaleBy",
  "old_widget_ids":["upscale_method","scale_by"],
  "input_mapping":[{"new_id":"input","old_id":"image"},{"new_id":"resize_type","set_value":"scale by multiplier"},
    {"new_id":"resize_type.multiplier","old_id":"scale_by"},{"new_id":"scale_method","old_id":"upscale_method"}],
  "output_mapping":null},
"T2IAdapterLoader":{"new_node_id":"ControlNetLoader","old_node_id":"T2IAdapterLoader","old_widget_ids":null,
  "input_mapping":[{"new_id":"control_net_name","old_id":"t2i_adapter_name"}],"output_mapping":null},
"Load3DAnimation":{"new_node_id":"Load3D","old_node_id":"Load3DAnimation","old_widget_ids":null,
  "input_mapping":null,"output_mapping":null},
"Preview3DAnimation":{"new_node_id":"Preview3D","old_node_id":"Preview3DAnimation","old_widget_ids":null,
  "input_mapping":null,"output_mapping":null},
"SDV_img2vid_Conditioning":{"new_node_id":"SVD_img2vid_Conditioning","old_node_id":"SDV_img2vid_Conditioning",
  "old_widget_ids":null,"input_mapping":null,"output_mapping":null},
"ConditioningAverage ":{"new_node_id":"ConditioningAverage","old_node_id":"ConditioningAverage ",
  "old_widget_ids":null,"input_mapping":null,"output_mapping":null}})");
  return table.get_object();
}

bool knows(const ObjectInfo& info, const json::value& class_name) {
  return info.find(text_view(class_name.get_string())) != nullptr;
}

json::object mapped_inputs(const json::object& old, const json::value& mapping) {
  json::object inputs;
  if (!mapping.is_array()) return inputs;
  for (const json::value& entry : mapping.get_array()) {
    const json::string& name = entry.at("new_id").as_string();
    if (const json::value* value = entry.as_object().if_contains("set_value")) {
      inputs[name] = *value;
    } else if (const json::value* given = old.if_contains(entry.at("old_id").as_string())) {
      inputs[name] = *given;
    }
  }
  return inputs;
}

/// Links to outputs of the node get the places that these have now.
void move_outputs(json::object& prompt, json::string_view id, const json::value& mapping) {
  if (!mapping.is_array()) return;
  for (auto& member : prompt) {
    auto* node = member.value().if_object();
    auto* inputs = node != nullptr ? node->if_contains("inputs") : nullptr;
    if (inputs == nullptr || !inputs->is_object()) continue;
    for (auto& input : inputs->get_object()) {
      if (!is_link(input.value())) continue;
      json::array& link = input.value().get_array();
      if (link[0].get_string() != id) continue;
      for (const json::value& entry : mapping.get_array()) {
        if (entry.at("old_idx") != link[1]) continue;
        link[1] = entry.at("new_idx");
        break;
      }
    }
  }
}

}  // namespace

std::string print_node_replacements(const ObjectInfo& info) {
  json::object offered;
  for (const auto& [old, replacement] : replacements()) {
    if (knows(info, replacement.at("new_node_id"))) offered[old] = json::array{replacement};
  }
  return print_json(json::value(std::move(offered)));
}

void replace_nodes(json::object& prompt, const ObjectInfo& info) {
  for (auto& member : prompt) {
    auto* node = member.value().if_object();
    auto* class_type = node != nullptr ? node->if_contains("class_type") : nullptr;
    auto* inputs = node != nullptr ? node->if_contains("inputs") : nullptr;
    if (class_type == nullptr || !class_type->is_string() || inputs == nullptr || !inputs->is_object())
      continue;
    if (knows(info, *class_type)) continue;
    const json::value* replacement = replacements().if_contains(class_type->get_string());
    if (replacement == nullptr || !knows(info, replacement->at("new_node_id"))) continue;
    *inputs = mapped_inputs(inputs->get_object(), replacement->at("input_mapping"));
    *class_type = replacement->at("new_node_id");
    move_outputs(prompt, member.key(), replacement->at("output_mapping"));
  }
}

}  // namespace atelier::comfy
