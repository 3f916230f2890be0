// SPDX-License-Identifier: MIT
#include "comfy/object_info.hpp"
#include "comfy/prompt_graph.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <limits>

#include "fixtures.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {
ObjectInfoView view_of_seven() {
  return {.route_prefix = "/user/7", .files = [](const FileListKey& key) {
            return std::vector<std::string>{std::string(to_string(key.folder)) + " " +
                                            std::string(to_string(key.content)) + " " + key.subfolder};
          }};
}
}  // namespace

TEST_CASE("a participant sees their own files and routes, and nobody's else") {
  const std::string text = fixtures::catalog().print_all(view_of_seven());
  CHECK(text.find("alien") == std::string::npos);
  CHECK(text.find("another") == std::string::npos);
  const json::value all = fixtures::read(text);
  CHECK(all.at("LoadImage").at("input").at("required").at("image") ==
        json::value{{"input image "}, {{"image_upload", true}}});
  CHECK(all.at("LoadVideo").at("input").at("required").at("file").at(1).at("options") ==
        json::value{"input video "});
  CHECK(all.at("Load3D").at("input").at("required").at("model_file").at(1).at("options") ==
        json::value{"input 3d 3d"});
  CHECK(all.at("LoadImageOutput").at("input").at("required").at("image").at(1).at("remote").at("route") ==
        "/user/7/internal/files/output");
  for (const char* partner : {"Partner", "PartnerAsset", "PartnerPlain"})
    CHECK(!all.as_object().contains(partner));
  CHECK(all.as_object().contains("NoPartner"));
  CHECK(!all.as_object().contains("Broken"));
}

TEST_CASE("what is not a participant's own comes out as it went in") {
  const json::value in = fixtures::read(fixtures::kObjectInfo);
  const json::value out = fixtures::read(fixtures::catalog().print_all({}));
  for (const char* name :
       {"SaveImage", "EmptyImage", "ImageScale", "Grow", "Any", "LoadImageOutput", "SolidMask"})
    CHECK(in.at(name) == out.at(name));
  CHECK(fixtures::catalog().print_class("SaveImage", {}) ==
        "{\"SaveImage\":" + print_json(out.at("SaveImage")) + "}");
  CHECK(fixtures::catalog().print_class("Nope", {}) == "{}");
}

TEST_CASE("inputs stand in the order that input_order states") {
  const auto info =
      ObjectInfo::parse(
          R"({"A":{"input":{"required":{"b":["INT"],"a":["INT"]}},"input_order":{"required":["a","b"]},"output":[]}})")
          .value();
  REQUIRE(info.find("A") != nullptr);
  CHECK(info.find("A")->inputs[0].name == "a");
  CHECK(info.find("A")->inputs[1].name == "b");
}

TEST_CASE("merging unites choices and keeps the first description") {
  const auto other =
      ObjectInfo::parse(
          R"({"Loader":{"input":{"required":{"ckpt_name":[["b.safetensors","z.safetensors"],{}],"lora_name":[["None","y.pt"]]}},"output":["MODEL"],"display_name":"second"},
          "ImageScale":{"input":{"required":{"crop":[["other"]]}},"output":["IMAGE"]},"Extra":{"input":{},"output":[]}})")
          .value();
  const ObjectInfo parts[] = {fixtures::catalog(), other};
  const ObjectInfo merged = ObjectInfo::merge(parts);
  CHECK(merged.size() == fixtures::catalog().size() + 1);
  const json::value loader = fixtures::read(merged.print_class("Loader", {})).at("Loader");
  CHECK(loader.at("input").at("required").at("ckpt_name").at(0) ==
        json::value{"a.safetensors", "b.safetensors", "z.safetensors"});
  CHECK(loader.at("input").at("required").at("lora_name").at(0) == json::value{"None", "x.pt", "y.pt"});
  CHECK(!loader.as_object().contains("display_name"));
  CHECK(print_json(json::value(*merged.find("ImageScale")->find_input("crop")->choices)) ==
        R"(["disabled","center","other"])");
  CHECK(merged.sources().size() == 2);
  CHECK(other.sources().empty());
}

TEST_CASE("classes are told in the order in which engines tell them") {
  const auto part = [](std::string_view names) {
    std::string text = "{";
    for (const char name : names)
      text += fmt::format(R"({}"{}":{{"input":{{}},"output":[]}})", text.size() > 1 ? "," : "", name);
    return ObjectInfo::parse(text + "}").value();
  };
  const auto order = [](const ObjectInfo& info) {
    std::string names;
    const json::value all = fixtures::read(info.print_all({}));
    for (const auto& member : all.as_object()) names += std::string(member.key());
    std::string parts;
    for (const ObjectInfoPart& piece : info.parts()) parts += piece.text;
    CHECK(fixtures::read(parts) == all);
    return names;
  };
  const ObjectInfo parts[] = {part("zam"), part("kzba")};
  CHECK(order(parts[0]) == "zam");
  CHECK(order(ObjectInfo::merge(parts)) == "zamkb");
  CHECK(parts[0].class_names() == std::vector<std::string>{"a", "m", "z"});
}

TEST_CASE("a node without a class is of none, also where an engine has a class without a name") {
  const auto info = ObjectInfo::parse(R"({"":{"input":{},"output":[],"output_node":true}})").value();
  auto prompt =
      fixtures::read(R"({"1":{"inputs":{}},"2":{"class_type":7,"inputs":{}},"3":{"class_type":""},"4":5})");
  const PromptGraph graph(prompt.as_object(), info);
  REQUIRE(graph.nodes().size() == 4);
  CHECK(graph.nodes()[0].node_class == nullptr);
  CHECK(graph.nodes()[1].node_class == nullptr);
  CHECK(graph.nodes()[2].node_class == info.find(""));
  CHECK(graph.nodes()[3].object == nullptr);
  CHECK(graph.find("3") == 2);
  CHECK_FALSE(graph.find("9").has_value());
}

TEST_CASE("models and classes of a prompt are listed once and sorted") {
  auto prompt = fixtures::read(
      R"({"1":{"class_type":"Loader","inputs":{"ckpt_name":"z.safetensors","lora_name":"None"}},
    "2":{"class_type":"Loader","inputs":{"ckpt_name":"z.safetensors","lora_name":["1",0]}},
    "3":{"class_type":"Loader","inputs":{"ckpt_name":"sub/new.GGUF","lora_name":"x.pt"}},"4":{"class_type":"EmptyImage","inputs":{}}})");
  const PromptGraph graph(prompt.as_object(), fixtures::catalog());
  CHECK(classes_of(graph) == std::vector<std::string>{"EmptyImage", "Loader"});
  const ModelFolders folders{{"checkpoints", {"a.safetensors", "z.safetensors"}}, {"loras", {"x.pt"}}};
  CHECK(models_of(graph, folders) == std::vector<ModelReference>{{"", "sub/new.GGUF"},
                                                                 {"checkpoints", "z.safetensors"},
                                                                 {"loras", "x.pt"}});
  CHECK(models_of(graph).size() == 3);
}

TEST_CASE("a file name that is not UTF-8 in an engine's folder does not shut the engine out") {
  const auto info =
      ObjectInfo::parse(R"({"A":{"input":{"required":{"x":[["a\udcff.png","\ud83d\ude00","\\ud800",")"
                        R"(\ud800\u0041"],{}]}}}})");
  REQUIRE(info.has_value());
  const auto* choices = info->find("A")->find_input("x")->choices;
  REQUIRE(choices->size() == 4);
  CHECK((*choices)[0].get_string() == "a\xef\xbf\xbd.png");
  CHECK((*choices)[1].get_string() == "\xf0\x9f\x98\x80");
  CHECK((*choices)[2].get_string() == "\\ud800");
  CHECK((*choices)[3].get_string() ==
        "\xef\xbf\xbd"
        "A");
}

TEST_CASE("limits and defaults that only Python can write do not shut the engine out") {
  const auto info = ObjectInfo::parse(
      R"({"A":{"input":{"required":{"NaN":["FLOAT",{"default":NaN,"min":-Infinity,"max": Infinity,"tooltip":"NaN \"Infinity"}]}}}})");
  REQUIRE(info.has_value());
  const auto* input = info->find("A")->find_input("NaN");
  REQUIRE(input != nullptr);
  CHECK(input->options->at("default").is_null());
  CHECK(input->min->get_double() == std::numeric_limits<double>::lowest());
  CHECK(input->max->get_double() == std::numeric_limits<double>::max());
  CHECK(input->options->at("tooltip").get_string() == "NaN \"Infinity");
  CHECK_FALSE(ObjectInfo::parse(R"({"A":{"input":{"required":{"x":[NaN,nan]}}}})"));
}

TEST_CASE("instead of the folders and latents in an engine's input folder, the participant's own are shown") {
  const auto info = ObjectInfo::parse(
      R"({"LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["3d","faces of seat 5"]}]}}},
      "LoadImageTextDataSetFromFolder":{"input":{"required":{"folder":[["of seat 5"]]}}},
      "LoadLatent":{"input":{"required":{"latent":[["of-seat-5.latent"]]}}},
      "Other":{"input":{"required":{"folder":["COMBO",{"options":["a.pt"]}]}}}})");
  REQUIRE(info.has_value());
  CHECK(info->print_all({}).find("seat") == std::string::npos);
  CHECK(info->find("LoadImageDataSetFromFolder")->find_input("folder")->choices->empty());
  ObjectInfoView view;
  view.files = [](const FileListKey& key) -> std::vector<std::string> {
    if (key.folder != FileType::input || !key.subfolder.empty()) return {};
    if (key.folders) return {"a.pt", "a.pt/10_cat"};
    return key.content == ContentKind::latent ? std::vector<std::string>{"x.latent"}
                                              : std::vector<std::string>{};
  };
  CHECK(
      info->print_all(view) ==
      R"({"LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["a.pt","a.pt/10_cat"]}]}}},)"
      R"("LoadImageTextDataSetFromFolder":{"input":{"required":{"folder":[["a.pt","a.pt/10_cat"]]}}},)"
      R"("LoadLatent":{"input":{"required":{"latent":[["x.latent"]]}}},)"
      R"("Other":{"input":{"required":{"folder":["COMBO",{"options":["a.pt"]}]}}}})");
  auto prompt = fixtures::read(
      R"({"1":{"class_type":"LoadImageDataSetFromFolder","inputs":{"folder":"a.pt"}},
      "2":{"class_type":"Other","inputs":{"folder":"a.pt"}}})");
  CHECK(models_of(PromptGraph(prompt.as_object(), *info)).size() == 1);  // a folder is no model
}

TEST_CASE("no list of an engine tells what lies there for others, whatever its class is called") {
  const auto info = ObjectInfo::parse(
      R"({"LoadVideoDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["3d","of seat 5"]}]}}},
      "LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":["3d","of seat 5"]}]}}},
      "LoadTrainingDataset":{"input":{"required":{"folder_name":["COMBO",{"options":["of seat 5"]}]}}},
      "Load3D":{"input":{"required":{"model_file":["COMBO",{"options":["none","3d/seat.glb"],"file_upload":true}]}}},
      "Folders":{"input":{"required":{"any":[["3d","of seat 5"]]}}},
      "Files":{"input":{"required":{"any":[["a.png","0123456789abcdef-seat.png","atelier/5-1/seat.png"]],
        "more":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"k","inputs":{"required":{"x":[["b","0123456789abcdef-seat"]]}}}]}]}}}})");
  REQUIRE(info.has_value());
  ObjectInfoView view;
  CHECK(
      info->print_all(view) ==
      R"({"LoadVideoDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":[]}]}}},)"
      R"("LoadImageDataSetFromFolder":{"input":{"required":{"folder":["COMBO",{"options":[]}]}}},)"
      R"("LoadTrainingDataset":{"input":{"required":{"folder_name":["COMBO",{"options":[]}]}}},)"
      R"("Load3D":{"input":{"required":{"model_file":["COMBO",{"options":["none"],"file_upload":true}]}}},)"
      R"("Folders":{"input":{"required":{"any":[[]]}}},)"
      R"("Files":{"input":{"required":{"any":[["a.png"]],)"
      R"("more":["COMFY_DYNAMICCOMBO_V3",{"options":[{"key":"k","inputs":{"required":{"x":[["b"]]}}}]}]}}}})");
  view.files = [](const FileListKey& key) {
    return std::vector<std::string>{key.folders ? "mine" : "3d/mine.glb"};
  };
  CHECK(info->print_class("LoadVideoDataSetFromFolder", view).find(R"("options":["mine"])") !=
        std::string::npos);
  CHECK(info->print_class("Load3D", view).find(R"("options":["none","3d/mine.glb"])") != std::string::npos);
}

TEST_CASE("an object_info above its limits is refused") {
  CHECK(ObjectInfo::parse("[]").error().code == atelier::Errc::bad_request);
  CHECK(ObjectInfo::parse(fixtures::kObjectInfo, {.bytes_max = 10}).error().code == atelier::Errc::too_large);
  CHECK(ObjectInfo::parse(fixtures::kObjectInfo, {.classes_max = 3}).error().code ==
        atelier::Errc::too_large);
}

}  // namespace atelier::comfy
