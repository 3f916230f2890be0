// SPDX-License-Identifier: MIT
#include "comfy/foreign_names.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/prompt_graph.hpp"
#include "comfy/rewrite.hpp"
#include "comfy/validate.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::string_view kClasses = R"json({
"Load3D":{"input":{"required":{"model_file":["COMBO",{"options":["none","3d/of another.glb"],"file_upload":true}],"image":["LOAD_3D",{}]}},"output":["IMAGE"],"output_node":true},
"Text":{"input":{"required":{"text":["STRING",{"multiline":true}]}},"output":["STRING"],"output_node":true},
"Line":{"input":{"required":{"line":["STRING",{}]}},"output":["STRING"],"output_node":true},
"Painter":{"input":{"required":{"mask":["STRING",{"image_upload":true,"socketless":true}]}},"output":["IMAGE"],"output_node":true},
"Batch":{"input":{"required":{"files":[[],{"image_upload":true}]}},"output":["IMAGE"],"output_node":true},
"Switch":{"input":{"required":{"value":["COMFY_MATCHTYPE_V3",{}]}},"output":["COMFY_MATCHTYPE_V3"],"price_badge":null},
"LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["3d","faces"]}]}},"output":["IMAGE"],"output_node":true},
"SaveImageDataSetToFolder":{"input":{"required":{"folder_name":["STRING",{}]}},"output":[],"output_node":true},
"SaveTrainingDataset":{"input":{"required":{"folder_name":["STRING",{"tooltip":"Name of the folder, inside the datasets directory."}]}},"output":[],"output_node":true},
"SaveLoRA":{"input":{"required":{"prefix":["STRING",{"default":"loras/x"}]}},"output":[],"output_node":true},
"SaveThing":{"input":{"optional":{"prefix":["STRING",{"default":"things/x"}]}},"output":[],"output_node":true},
"Joiner":{"input":{"required":{"prefix":["STRING",{"default":"a/b"}]}},"output":["STRING"],"output_node":false}})json";

const ObjectInfo& classes() {
  static const ObjectInfo info = ObjectInfo::parse(kClasses).value();
  return info;
}

/// What the first error of node "1" says; "" if the prompt is accepted.
std::string verdict(std::string_view graph, const FileLookup& exists = fixtures::kNoFiles) {
  auto request = fixtures::request(graph);
  const auto validation = validate(request, classes(), exists);
  if (validation.accepted) return "";
  const json::value error = fixtures::first_error(validation, "1");
  return fmt::format("{}: {}", std::string_view(error.at("type").as_string()),
                     std::string_view(error.at("details").as_string()));
}

std::string node(std::string_view class_name, std::string_view inputs) {
  return fmt::format(R"({{"1":{{"class_type":"{}","inputs":{}}}}})", class_name, inputs);
}

/// The inputs of node "1" as the agent posts them.
json::value rewritten(std::string_view graph, const WorkerNames& names = {}) {
  json::value prompt = fixtures::read(graph);
  rewrite(prompt.as_object(), classes(), names, atelier::JobId{12}, atelier::Epoch{3});
  return prompt.at("1").at("inputs");
}

}  // namespace

TEST_CASE("a file of another participant, named inside an object or a list, is refused") {
  for (const char* name : {"atelier/574-1/x.png [output]", "ComfyUI_00001_.png [output]", "x.png[temp]",
                           "x.png [input]", "x.png [output] ", "../output/x.png", "/srv/output/x.png",
                           "atelier/574-1/x.png", "a/../atelier//574-1/x"}) {
    CAPTURE(name);
    const std::string error = "custom_validation_failed: image - Invalid ";
    CHECK(verdict(node("Load3D", fmt::format(R"({{"model_file":"none","image":{{"image":"{}"}}}})", name)))
              .starts_with(error));
    CHECK(verdict(node("Load3D", fmt::format(R"({{"model_file":"","image":{{"a/b":[[],"{}"]}}}})", name)))
              .starts_with(error));
    CHECK(verdict(node("Batch", fmt::format(R"({{"files":{{"__value__":["{}"]}}}})", name)))
              .starts_with("custom_validation_failed: files - Invalid "));
    CHECK(verdict(node("Painter", fmt::format(R"({{"mask":"{}"}})", name)))
              .starts_with("custom_validation_failed: mask - Invalid "));
  }
  CHECK(verdict(node("Load3D", R"({"model_file":"none","image":{"image":"x.png [output]"}})")) ==
        "custom_validation_failed: image - Invalid image file: x.png [output]");
}

TEST_CASE("the participant's own files are named in any depth, and other texts in objects are left") {
  const FileLookup own = [](FileType type, std::string_view name) {
    return (type == FileType::temp && name == "threed/s.png") ||
           (type == FileType::output && name == "atelier/1-2/x.png") ||
           (type == FileType::input && name == "cup.png");
  };
  const std::string_view graph =
      R"({"1":{"class_type":"Load3D","inputs":{"model_file":"none","image":{"image":"threed/s.png [temp]",
      "mask":"cup.png","normal":"atelier/1-2/x.png [output]","note":"as in [output]","recording":""}}}})";
  CHECK(verdict(graph, own) == "");
  auto prompt = fixtures::read(graph);
  std::vector<std::string> seen;
  WorkerNames names;
  for (const InputFile& file : input_files_of(PromptGraph(prompt.as_object(), classes()), own)) {
    if (!own(file.type, file.name)) continue;
    seen.push_back(file.pointer + " " + file.name);
    names[{file.type, file.name}] = worker_input_name(file.name, atelier::sha256("x"));
  }
  CHECK(seen ==
        std::vector<std::string>{"/image threed/s.png", "/mask cup.png", "/normal atelier/1-2/x.png"});
  const json::value image = rewritten(graph, names).at("image");
  CHECK(image.at("mask") == json::string(names.at({FileType::input, "cup.png"})));
  CHECK(image.at("normal") == json::string(names.at({FileType::output, "atelier/1-2/x.png"})));
  CHECK(image.at("note") == "as in [output]");
}

TEST_CASE("a plain text runs whatever it ends with, unless it leads into a job's folder") {
  for (const char* text :
       {"a cat, its [output]", "a cat.png [output]", "/a cat.png", "../x.png", "our atelier/studio [temp]",
        "atelier/12", "atelier/a-1/x.png", "one\ntwo.png [temp]"}) {
    CAPTURE(text);
    const std::string value = print_json(json::object{{"text", text}});
    CHECK(verdict(node("Text", value)) == "");
  }
  CHECK(rewritten(node("Text", R"({"text":"a cat, its [output]"})")).at("text") == "a cat, its [output]");
  CHECK(rewritten(node("Text", R"({"text":"a cat.png [output]"})")).at("text") == "a cat.png [output_");
  CHECK(rewritten(node("Line", R"({"line":"x.png [temp]\n"})")).at("line") == "x.png [temp_\n");
  CHECK(rewritten(node("Line", R"({"line":"atelier/5-1/x.png"})")).at("line") == "atelier_5-1_x.png");
  CHECK(verdict(node("Line", R"({"line":"a cat.png [output]"})")) == "");
  CHECK(verdict(node("Line", R"({"line":"../a cat.png"})")) ==
        "custom_validation_failed: line - Invalid image file: ../a cat.png");
  for (const char* text : {"atelier/574-1", "x\\n../output/./atelier/./574-1/y.png [output]\\nz"}) {
    CHECK(verdict(node("Text", fmt::format(R"({{"text":"{}"}})", text)))
              .starts_with("custom_validation_failed: text - Invalid file: "));
  }
}

TEST_CASE("what chooses a file or a folder takes no link, also not through an output of any type") {
  // "3" is an output, too, so the prompt runs without node "1".
  const auto error_of = [](std::string_view class_name, std::string_view input) {
    auto request = fixtures::request(fmt::format(
        R"({{"1":{{"class_type":"{}","inputs":{{"model_file":"none","{}":["2",0]}}}},
        "2":{{"class_type":"Switch","inputs":{{"value":["3",0]}}}},"3":{{"class_type":"Text","inputs":{{"text":"x"}}}}}})",
        class_name, input));
    const auto validation = validate(request, classes(), fixtures::kAllFiles);
    CHECK(validation.accepted);
    const json::value error = fixtures::first_error(validation, "1");
    return error.is_null() ? std::string() : std::string(error.at("details").as_string());
  };
  CHECK(error_of("Line", "line") == "");
  const std::string rest =
      " has to be chosen in the node itself: a link to it cannot be followed before the prompt runs.";
  CHECK(error_of("LoadImageDataSetFromFolder", "folder") == "folder - The folder" + rest);
  CHECK(error_of("SaveImageDataSetToFolder", "folder_name") == "folder_name - The folder" + rest);
  CHECK(error_of("Batch", "files") == "files - The file" + rest);
  CHECK(error_of("Painter", "mask") == "mask - The file" + rest);
  CHECK(error_of("Load3D", "image") == "image - The file" + rest);
}

TEST_CASE("a training dataset that nobody would bring back is not made") {
  CHECK(verdict(node("SaveTrainingDataset", R"({"folder_name":"x"})"))
            .starts_with("custom_validation_failed: folder_name - A training dataset is not brought back"));
  const auto older = ObjectInfo::parse(
      R"({"SaveTrainingDataset":{"input":{"required":{"folder_name":["STRING",{"tooltip":"(inside output directory)."}]}},"output":[],"output_node":true}})");
  auto request = fixtures::request(node("SaveTrainingDataset", R"({"folder_name":"x"})"));
  CHECK(validate(request, *older, fixtures::kNoFiles).accepted);
}

TEST_CASE("a saver's prefix leads into the job's folder, also if its name is only prefix") {
  CHECK(rewritten(node("SaveLoRA", R"({"prefix":"loras/mine"})")).at("prefix") == "atelier/12-3/loras/mine");
  CHECK(rewritten(node("SaveThing", "{}")).at("prefix") == "atelier/12-3/things/x");
  CHECK(rewritten(node("Joiner", R"({"prefix":"c/d"})")).at("prefix") == "c/d");
}

TEST_CASE("names that agents give are known, others are not taken for them") {
  for (const char* name : {"0123456789abcdef-x.png", "3d/0123456789abcdef-faces/y.png", ".atelier-incoming",
                           "a/.atelier-incoming/x", "atelier/12-3/x", "../output/atelier/1-1"})
    CHECK(is_worker_name(name));
  for (const char* name : {"x.png", "0123456789abcdeX-x.png", "0123456789abcdef-", "0123456789abcdef.png",
                           "atelier/x", "clipspace/x.png", "myatelier/12-3/x"})
    CHECK_FALSE(is_worker_name(name));
}

}  // namespace atelier::comfy
