// SPDX-License-Identifier: MIT
// Constants where only a link brings something useful: validation lets them pass, as ComfyUI's does, and the
// node fails. What ComfyUI 0.21.0 does with each was seen by giving it the same prompts.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/object_info.hpp"
#include "fixtures.hpp"
#include "image/encode.hpp"
#include "rehearsal/engine.hpp"
#include "runtime/task_group.hpp"
#include "runtime/virtual_runtime.hpp"

using atelier::comfy::InputGroup;
using atelier::comfy::InputSpec;
using atelier::comfy::ObjectInfo;
using atelier::rehearsal::node_classes;
using atelier::rehearsal::NodeClass;
using atelier::rehearsal::object_info_text;
namespace json = boost::json;

namespace {

// An engine that runs each prompt at once.
struct Room {
  Room() {
    tasks.spawn("engine", engine.run());
    const std::vector<std::uint8_t> grey(64 * 64 * 3, 128);
    home.write("input/a.png", *atelier::image::encode_png(atelier::image::FrameView{64, 64, 3, grey.data()}));
    home.write("input/a.mp4", "nobody looks into it");
  }
  ~Room() {
    engine.stop();
    runtime.run_ready();
    tasks.cancel_all();
    runtime.run_ready();
  }
  // "success", or "<class>: <exception type>: <message>" of the node that failed, or the body of a refusal.
  std::string run(const json::object& graph) {
    const auto answer = engine.submit(json::serialize(json::object{{"prompt", graph}}));
    if (answer.status != 200) return answer.body;
    const std::string id(json::parse(answer.body).at("prompt_id").as_string());
    runtime.run_ready();
    const json::value status = json::parse(engine.queue().history_json(id)).at(id).at("status");
    for (const json::value& message : status.at("messages").as_array()) {
      if (message.at(0).as_string() != "execution_error") continue;
      const auto word = [&](const char* key) { return std::string(message.at(1).at(key).as_string()); };
      return fmt::format("{}: {}: {}", word("node_type"), word("exception_type"), word("exception_message"));
    }
    return std::string(status.at("status_str").as_string());
  }

  fixtures::TempFolders home;
  atelier::VirtualRuntime runtime;
  atelier::rehearsal::Clients clients;
  atelier::rehearsal::Engine engine{runtime, {home.folders, atelier::milliseconds{0}}, clients};
  atelier::TaskGroup tasks{runtime};
};

json::value parsed(std::string_view text) { return json::parse(text); }

// A constant in JSON, and what Python calls its type.
struct Constant {
  std::string_view text, type;
};
constexpr std::array<Constant, 10> kConstants{{{"null", "NoneType"},
                                               {"\"str\"", "str"},
                                               {"\"{}\"", "str"},
                                               {"5", "int"},
                                               {"0", "int"},
                                               {"1.5", "float"},
                                               {"true", "bool"},
                                               {"{}", "dict"},
                                               {R"({"a":1})", "dict"},
                                               {R"({"__value__":[1]})", "list"}}};

bool by_link(const InputSpec& spec) {
  return spec.group != InputGroup::hidden && !spec.combo && spec.type != "INT" && spec.type != "FLOAT" &&
         spec.type != "BOOLEAN" && spec.type != "STRING";
}

json::value fitting(const NodeClass& node, const InputSpec& spec) {
  if (spec.type == "IMAGE") return json::array{"image", 0};
  if (spec.type == "MASK") return json::array{"mask", 0};
  if (spec.type == "VIDEO") return json::array{"video", 0};
  if (spec.type == "BOUNDING_BOX") return parsed(R"({"width":4,"height":4})");
  if (spec.combo && spec.choices != nullptr && !spec.choices->empty()) return spec.choices->front();
  if (spec.combo) return node.name == "LoadVideo" ? "a.mp4" : "a.png";
  if (spec.type == "STRING") return "p";
  if (spec.type == "BOOLEAN") return false;
  if (spec.name == "value") return 1.0;
  if (spec.name == "width" || spec.name == "height" || spec.name.starts_with("target")) return 16;
  const json::value* least = spec.min;
  return least != nullptr ? *least : json::value(1);
}

// The node as "n" with what its inputs take, one of them replaced, and something that uses each output.
json::object graph_of(const NodeClass& node, const atelier::comfy::NodeClass& declared, const InputSpec& spec,
                      json::value constant) {
  json::object graph = parsed(R"({
"image":{"class_type":"EmptyImage","inputs":{"width":64,"height":64,"batch_size":1,"color":255}},
"mask":{"class_type":"SolidMask","inputs":{"width":64,"height":64,"value":1.0}},
"video":{"class_type":"CreateVideo","inputs":{"images":["image",0],"fps":10.0}}})")
                           .as_object();
  json::object inputs;
  for (const InputSpec* other : declared.visible_inputs) {
    if (other->group == InputGroup::required) inputs[other->name] = fitting(node, *other);
  }
  inputs[spec.name] = std::move(constant);
  graph["n"] = {{"class_type", std::string(node.name)}, {"inputs", std::move(inputs)}};
  for (std::size_t slot = 0; slot < declared.output_types.size(); ++slot) {
    const json::array link{"n", slot};
    const std::string id = fmt::format("use{}", slot), type(declared.output_types[slot]->as_string());
    if (type == "IMAGE") graph[id] = {{"class_type", "PreviewImage"}, {"inputs", {{"images", link}}}};
    if (type == "MASK") graph[id] = {{"class_type", "MaskPreview"}, {"inputs", {{"mask", link}}}};
    if (type == "VIDEO") {
      graph[id] = {
          {"class_type", "SaveVideo"},
          {"inputs", {{"video", link}, {"filename_prefix", "v"}, {"format", "auto"}, {"codec", "auto"}}}};
    }
  }
  return graph;
}

// ComfyUI's CreateVideo takes whatever Python takes for false as "no sound".
bool is_fine(const InputSpec& spec, std::string_view constant) {
  if (spec.type == "AUDIO") return constant == "null" || constant == "0" || constant == "{}";
  return spec.type == "BOUNDING_BOX" && constant.starts_with("{") && !constant.contains("__value__");
}

}  // namespace

TEST_CASE("a constant in place of a link is an error of the node, whatever it is") {
  const auto info = ObjectInfo::parse(object_info_text());
  REQUIRE(info.has_value());
  Room room;
  std::size_t tried = 0;
  for (const NodeClass& node : node_classes()) {
    const auto* declared = info->find(node.name);
    for (const InputSpec* spec : declared->visible_inputs) {
      if (!by_link(*spec)) continue;
      for (const Constant& constant : kConstants) {
        const std::string end = room.run(graph_of(node, *declared, *spec, parsed(constant.text)));
        CAPTURE(node.name);
        CAPTURE(spec->name);
        CAPTURE(constant.text);
        ++tried;
        if (is_fine(*spec, constant.text)) {
          CHECK(end == "success");
        } else if (spec->group == InputGroup::optional && constant.text == "null") {
          CHECK(end.starts_with("ImageCompositeMasked: RuntimeError: a destination"));  // as if not given
        } else {
          CHECK(end.starts_with(std::string(node.name) + ": "));
          CHECK(end.contains(fmt::format("Error: '{}' object ", constant.type)));
        }
      }
    }
  }
  CHECK(tried > 400);
}

TEST_CASE("an optional picture or mask that is null is not given") {
  Room room;
  const std::string end = room.run(parsed(R"({
"image":{"class_type":"EmptyImage","inputs":{"width":4,"height":4,"batch_size":1,"color":255}},
"mask":{"class_type":"SolidMask","inputs":{"width":4,"height":4,"value":1.0}},
"a":{"class_type":"ImageCompositeMasked","inputs":{"source":["image",0],"destination":["image",0],"mask":null,
"x":0,"y":0,"resize_source":false}},
"b":{"class_type":"ImageCompositeMasked","inputs":{"source":["image",0],"destination":null,"mask":["mask",0],
"x":0,"y":0,"resize_source":false}},
"c":{"class_type":"PreviewImage","inputs":{"images":["a",0]}},
"d":{"class_type":"PreviewImage","inputs":{"images":["b",0]}}})")
                                       .as_object());
  CHECK(end == "success");
}

TEST_CASE("a link counts the outputs as Python does: -1 is the last one, true the second") {
  Room room;
  for (const json::value& slot : {json::value(-1), json::value(true)}) {
    const std::string end = room.run(
        {{"load", {{"class_type", "LoadImage"}, {"inputs", {{"image", "a.png"}}}}},
         {"show", {{"class_type", "MaskPreview"}, {"inputs", {{"mask", json::array{"load", slot}}}}}}});
    CAPTURE(slot);
    CHECK(end == "success");
  }
}
