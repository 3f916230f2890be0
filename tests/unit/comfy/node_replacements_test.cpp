// SPDX-License-Identifier: MIT
#include "comfy/node_replacements.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "fixtures.hpp"

namespace atelier::comfy {
namespace {

ObjectInfo catalog_of(std::initializer_list<std::string_view> classes) {
  std::string text = "{";
  for (const std::string_view name : classes)
    text += fmt::format(R"({}"{}":{{"input":{{}},"output":["IMAGE"]}})", text.size() > 1 ? "," : "", name);
  return ObjectInfo::parse(text + "}").value();
}

std::string replaced(std::string_view prompt, const ObjectInfo& info) {
  boost::json::value value = fixtures::read(prompt);
  replace_nodes(value.as_object(), info);
  return print_json(value);
}

TEST_CASE("an old class becomes the new one with its inputs by the mapping and its outputs' links moved") {
  const auto info = catalog_of({"BatchImagesNode", "ImageScaleToMaxDimension", "Load3D", "X"});
  CHECK(
      replaced(
          R"({"1":{"class_type":"ImageBatch","inputs":{"image2":["8",0],"image1":["9",1],"y":1},"_meta":{}}})",
          info) ==
      R"({"1":{"class_type":"BatchImagesNode","inputs":{"images.image0":["9",1],"images.image1":["8",0]},"_meta":{}}})");
  CHECK(
      replaced(R"({"1":{"class_type":"ResizeImagesByLongerEdge","inputs":{"longer_edge":5}},)"
               R"("2":{"class_type":"X","inputs":{"a":["1",0],"b":["1",1],"c":["3",0]}}})",
               info) ==
      R"({"1":{"class_type":"ImageScaleToMaxDimension","inputs":{"largest_size":5,"upscale_method":"lanczos"}},)"
      R"("2":{"class_type":"X","inputs":{"a":["1",0],"b":["1",1],"c":["3",0]}}})");
  CHECK(replaced(R"({"1":{"class_type":"Load3DAnimation","inputs":{"model_file":"a.glb"}}})", info) ==
        R"({"1":{"class_type":"Load3D","inputs":{}}})");
}

TEST_CASE("nothing is replaced that the catalog has, by what it has not, or without a class or inputs") {
  const auto both = catalog_of({"BatchImagesNode", "ImageBatch"});
  const auto neither = catalog_of({"X"});
  for (const char* prompt :
       {R"({"1":{"class_type":"ImageBatch","inputs":{"image1":["9",1]}}})",
        R"({"1":{"class_type":"ImageBatch"},"2":5,"3":{"inputs":{}},"4":{"class_type":7,"inputs":{}}})"}) {
    CHECK(replaced(prompt, both) == prompt);
    CHECK(replaced(prompt, neither) == prompt);
  }
  CHECK(replaced(R"({"1":{"class_type":"ImageBatch","inputs":[]}})", catalog_of({"BatchImagesNode"})) ==
        R"({"1":{"class_type":"ImageBatch","inputs":[]}})");
}

TEST_CASE("those are offered whose new class the catalog has") {
  CHECK(print_node_replacements(catalog_of({"X"})) == "{}");
  const auto offered = fixtures::read(print_node_replacements(catalog_of({"ControlNetLoader", "X"})));
  REQUIRE(offered.as_object().size() == 1);
  const auto& replacement = offered.at("T2IAdapterLoader").at(0);
  CHECK(replacement.at("new_node_id") == "ControlNetLoader");
  CHECK(replacement.at("old_widget_ids").is_null());
  CHECK(replacement.at("input_mapping").at(0).at("old_id") == "t2i_adapter_name");
  CHECK(replacement.as_object().size() == 5);
}

}  // namespace
}  // namespace atelier::comfy
