// SPDX-License-Identifier: MIT
#include "comfy/output_files.hpp"

#include <doctest/doctest.h>

namespace atelier::comfy {
namespace {

TEST_CASE("a node's ui names files by objects and, for 3D, by texts; all else names none") {
  const auto files = output_files(
      R"({"images":[{"filename":"a_00001_.png","subfolder":"sub","type":"temp"},{"filename":"b.png"},7,null],)"
      R"("result":["mesh/cup.glb","cup.obj","a word"],"text":["x.png"],"animated":[true],"n":3})");
  REQUIRE(files.has_value());
  CHECK((*files == std::vector<OutputFile>{{FileType::temp, "sub", "a_00001_.png"},
                                           {FileType::output, "", "b.png"},
                                           {FileType::output, "mesh", "cup.glb"},
                                           {FileType::output, "", "cup.obj"}}));
  CHECK((*output_files(
             R"({"result":["a/cup.glb [temp]",null,"temp/bg.png","temp/no.txt"],"list":["x","temp/no.png"],)"
             R"("gifs":[{"filename":"f_00001.mp4","type":"output","subfolder":"v","workflow":"f_00001.png"},)"
             R"({"filename":"f_00001.mp4","workflow":"g_00001.png"}]})") ==
         std::vector<OutputFile>{{FileType::temp, "a", "cup.glb"},
                                 {FileType::temp, "", "bg.png"},
                                 {FileType::output, "v", "f_00001.mp4"},
                                 {FileType::output, "v", "f_00001.png"},
                                 {FileType::output, "", "f_00001.mp4"}}));
  CHECK(output_files("[1]")->empty());
  CHECK_FALSE(output_files("{").has_value());
}

TEST_CASE("files that are gone are marked, and the rest of the outputs is as it was") {
  const std::string outputs =
      R"({"9":{"images":[{"filename":"a.png","subfolder":"","type":"output"},{"filename":"b.png","type":"temp"}],)"
      R"("text":["a.png"]},"7":3})";
  const auto gone = [](const OutputFile& file) { return file.name == "b.png"; };
  CHECK(mark_missing(outputs, gone) ==
        R"({"9":{"images":[{"filename":"a.png","subfolder":"","type":"output"},)"
        R"({"filename":"b.png","type":"temp","missing":true}],"text":["a.png"]},"7":3})");
  CHECK(mark_missing(outputs, [](const OutputFile&) { return false; }) == outputs);
  CHECK(mark_missing("no JSON", gone) == "no JSON");
}

}  // namespace
}  // namespace atelier::comfy
