// SPDX-License-Identifier: MIT
#include "agent/ui_files.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <utility>

namespace atelier::agent {
namespace {

constexpr RunKey kKey{JobId{12}, Epoch{3}};
constexpr std::string_view kRandom = "preview3d_0123456789abcdef0123456789abcdef";

Result<PlacedFile> place(std::string filename, std::string subfolder, std::string type = "output") {
  UiFile file;
  file.place = "images/0";
  file.filename = std::move(filename);
  file.subfolder = std::move(subfolder);
  file.type = std::move(type);
  return place_file(file, kKey);
}

/// "place type:subfolder|filename" of each, with '?' behind those that may be none.
std::vector<std::string> named(std::string_view ui) {
  std::vector<std::string> out;
  for (const UiFile& file : files_of_ui(ui, kKey).value())
    out.push_back(fmt::format("{} {}:{}|{}{}", file.place, file.type, file.subfolder, file.filename,
                              file.sure ? "" : "?"));
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a file in the job's folder is named without it, and its number counts") {
  auto placed = place("ComfyUI_00002_.png", "atelier/12-3/trip/day");
  REQUIRE(placed);
  CHECK(placed->path == "atelier/12-3/trip/day/ComfyUI_00002_.png");
  CHECK(placed->named.folder == "trip/day");
  CHECK(placed->named.stem == "ComfyUI");
  CHECK(placed->named.number == 2);
  CHECK(placed->named.rest == "_.png");
  CHECK(placed->named.in_job_folder);
  CHECK_FALSE(placed->odd);
}

TEST_CASE("a list whose name is longer than a place may be names no file") {
  const auto files = [](std::size_t bytes) {
    return named(R"({")" + std::string(bytes, 'x') + R"(":[{"filename":"a.png"}]})").size();
  };
  CHECK(files(1'000) == 1);
  CHECK(files(link::kNameBytesMax) == 0);
}

TEST_CASE(
    "a file in another job's folder is not this job's, one of an older epoch or beside all folders is") {
  for (const char* folder : {"atelier/11-1", "atelier/11-1/x", "atelier/120-3", "atelier/1-3"}) {
    for (const char* type : {"output", "temp"}) {
      const auto placed = place("a_00002_.png", folder, type);
      REQUIRE_FALSE(placed);
      CHECK(placed.error().code == Errc::forbidden);
    }
  }
  const auto older = place("a_00002_.png", "atelier/12-1/x");
  REQUIRE(older);
  CHECK(older->named.folder == "x");
  CHECK_FALSE(older->named.in_job_folder);
  CHECK(place("a.png", "atelier/12-33/x")->named.in_job_folder == false);
  CHECK(place("a.png", "atelier/abc/x")->named.folder == "atelier/abc/x");
  CHECK(place("a.png", "atelier/11-1", "input")->named.type == link::FileType::input);
  CHECK(place("preview.png", "", "temp")->named.type == link::FileType::temp);
  CHECK_FALSE(place("linked_00001_.png", "")->named.in_job_folder);
}

TEST_CASE("a file outside ComfyUI's folders is refused") {
  for (const auto& [name, folder] :
       std::vector<std::pair<std::string, std::string>>{{"a.png", ".."},
                                                        {"a.png", "../../etc"},
                                                        {"../a.png", ""},
                                                        {"a/b.png", ""},
                                                        {"a\\/b.png", ""},
                                                        {"/etc/passwd", ""},
                                                        {"a.png", "/etc"},
                                                        {"a\\b.png", "/etc"},
                                                        {"a\\b.png", "x/.."},
                                                        {"", ""},
                                                        {"..", ""},
                                                        {std::string("a\0b", 3), ""},
                                                        {"a.png", "x/../.."}}) {
    CAPTURE(name);
    CHECK_FALSE(place(name, folder));
  }
  CHECK_FALSE(place("a.png", "", "models"));
}

TEST_CASE(
    "a name that no participant's folder takes stands for a harmless one, and only /view gives its file") {
  const auto placed = place("a\\b\n_00001_.png", "atelier/12-3/c\\d");
  REQUIRE(placed);
  CHECK(placed->odd);
  CHECK(placed->path == "atelier/12-3/c\\d/a\\b\n_00001_.png");
  CHECK(placed->named.folder == "c_d");
  CHECK(placed->named.stem == "a_b_");
  CHECK(placed->named.number == 1);
  CHECK(placed->named.in_job_folder);
  CHECK(place("x.png", "trip ")->named.folder == "trip_");
}

TEST_CASE("files of a ui are found in all its lists, in order") {
  CHECK(named(
            R"({"images":[{"filename":"a.png","subfolder":"s","type":"temp"},{"x":1},{"filename":"b.png"}],
      "animated":[true],"text":["t"],"gifs":[{"filename":"c.webp","subfolder":"","type":"output"}],"n":{"filename":"x"}})") ==
        Names{"images/0 temp:s|a.png", "images/2 output:|b.png", "gifs/0 output:|c.webp"});
}

TEST_CASE("a text names a file if it leads into the job's folder or is a mesh of a random name") {
  CHECK(named(R"({"result":["atelier/12-3/3d/cup_00001.glb",{"position":1},null]})") ==
        Names{"result/0 output:atelier/12-3/3d|cup_00001.glb?"});
  CHECK(named(R"({"result":["atelier/12-3/cup.glb [temp]"],"files":["/home/me/temp/atelier/12-3/a.txt",
        "/home/me/output/atelier/12-3/b/a.txt"],"text":["atelier/12-3/x.bin"]})") ==
        Names{"result/0 temp:atelier/12-3|cup.glb?", "files/0 temp:atelier/12-3|a.txt?",
              "files/1 output:atelier/12-3/b|a.txt?", "text/0 output:atelier/12-3|x.bin?"});
  CHECK(named(fmt::format(R"({{"result":["{}.glb",null,"temp/bg_00001_.png"]}})", kRandom)) ==
        Names{fmt::format("result/0 output:|{}.glb?", kRandom),
              fmt::format("result/0 temp:|{}.glb?", kRandom), "result/2 temp:|bg_00001_.png?"});
  CHECK(named(fmt::format(R"({{"result":["{}.glb [output]"]}})", kRandom)) ==
        Names{fmt::format("result/0 output:|{}.glb?", kRandom)});
}

TEST_CASE("a text that could be of anybody names no file") {
  CHECK(named(R"({"result":["cup.glb","3d/cup.glb","atelier/11-1/cup.glb","atelier/12-33/cup.glb",
      "temp/../output/x.png","temp/a/x.png"],
      "text":["saved as atelier/12-3/cup.glb","see /out/x-atelier/12-3/a.png","atelier/12-3/",
      "atelier/12-3/a.glb [input]","atelier/12-3/line\nfeed.glb"],"pictures":["a","temp/x.png"]})")
            .empty());
  CHECK(named(R"({"result":["temp/x.png"]})").empty());
  CHECK(named(fmt::format(R"({{"result":["sub/{0}.glb","{0}.txt","{1}.glb"]}})", kRandom, kRandom.substr(11)))
            .empty());
}

TEST_CASE("the picture that VideoHelperSuite saves beside a video is one of its files") {
  const auto video = [](std::string_view picture) {
    return fmt::format(
        R"({{"gifs":[{{"filename":"a_00003-audio.mp4","subfolder":"s","type":"output","workflow":"{}"}}]}})",
        picture);
  };
  CHECK(named(video("a_00003.png")) ==
        Names{"gifs/0 output:s|a_00003-audio.mp4", "gifs/0/workflow output:s|a_00003.png?"});
  for (const char* other : {"a_00004.png", "b_00003.png", "../a_00003.png", "a_00003-audio.mp4", ""})
    CHECK(named(video(other)).size() == 1);
}

}  // namespace atelier::agent
