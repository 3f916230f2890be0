// SPDX-License-Identifier: MIT
#include "comfy/variants.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "comfy/prompt_graph.hpp"
#include "fixtures.hpp"

namespace atelier::comfy {
namespace {

ObjectInfo engine(std::string_view loader, std::string_view sampler) {
  return ObjectInfo::parse(
             fmt::format(
                 R"({{"Load":{{"input":{{"required":{{{}}}}},"output":["MODEL"]}},)"
                 R"("Sample":{{"input":{{"required":{{"model":["MODEL"],{}}}}},"output":["IMAGE"]}}}})",
                 loader, sampler))
      .value();
}

std::vector<std::string> needed(const ObjectInfo& merged, std::string_view load, std::string_view sample) {
  auto request =
      fixtures::request(fmt::format(R"({{"1":{{"class_type":"Load","inputs":{{{}}}}},)"
                                    R"("2":{{"class_type":"Sample","inputs":{{"model":["1",0],{}}}}}}})",
                                    load, sample));
  return needed_variants(PromptGraph(request.prompt.object(), merged), merged).names;
}

}  // namespace

TEST_CASE("a prompt needs the variant that takes it, of classes that are not the same everywhere") {
  const ObjectInfo older =
      engine(R"("name":[["a.ckpt"]])", R"("name":[["euler","ddim"]],"kind":["COMBO",{"options":["x"]}])");
  const ObjectInfo newer = engine(R"("name":[["b.ckpt"]],"mode":[["fast"]])",
                                  R"("name":[["euler","res"]],"kind":["COMBO",{"options":["x","y"]}])");
  const ObjectInfo same =
      engine(R"("name":[["c.ckpt"]])", R"("name":[["euler","ddim"]],"kind":["COMBO",{"options":["x"]}])");
  const std::vector<ObjectInfo> both{older, same, newer};
  const ObjectInfo merged = ObjectInfo::merge(both);
  const std::string old_load = variant_name(*older.find("Load")),
                    old_sample = variant_name(*older.find("Sample"));
  const std::string new_load = variant_name(*newer.find("Load")),
                    new_sample = variant_name(*newer.find("Sample"));
  CHECK(old_load != new_load);
  CHECK(old_sample != new_sample);
  CHECK(old_load == variant_name(*same.find("Load")));  // its models are not counted
  const char* load = R"("name":"a.ckpt","mode":"fast")";
  CHECK(needed(merged, load, R"("name":"euler","kind":"x")").empty());  // all take it
  CHECK(needed(merged, load, R"("name":"res","kind":"x")") == std::vector{new_sample});
  CHECK(needed(merged, load, R"("name":"ddim","kind":"x")") == std::vector{old_sample});
  CHECK(needed(merged, R"("name":"a.ckpt")", R"("name":"euler","kind":"x")") == std::vector{old_load});
  CHECK(needed(merged, load, R"("name":"ddim","kind":"y")").empty());  // none does: each says why
  CHECK(needed(older, load, R"("name":"res","kind":"x")").empty());
  CHECK(variant_names(older) == std::vector{old_load, old_sample});
}

TEST_CASE("a variant is told by the name of its class") {
  CHECK(class_of_variant("Load#0123456789abcdef") == "Load");
  for (const char* name : {"Load", "Load#1", "Load#0123456789abcdeg", "#", ""})
    CHECK(class_of_variant(name) == name);
}

}  // namespace atelier::comfy
