// SPDX-License-Identifier: MIT
// What a run left in ComfyUI's folders: real folders, virtual time.
#include "agent/collector.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <exception>

#include "runtime/virtual_runtime.hpp"
#include "unit/files/temp_folder.hpp"

namespace atelier::agent {
namespace {

constexpr RunKey kKey{JobId{7}, Epoch{1}};
constexpr std::string_view kMesh = "preview3d_0123456789abcdef0123456789abcdef.glb";

struct Rig {
  Rig() {
    write("output/keep", "");
    folders = open_engine_folders(temp.path(), temp.path()).value();
  }
  void write(const std::string& path, std::string_view content) { files::write_text(temp / path, content); }

  Result<std::vector<link::CommitFile>> collect(std::string ui, std::string node = "9") {
    Collector::note(*run, kKey, node, ui);
    return wait([&, node, ui] { return collector.collect(run, kKey, engine, &folders, node, ui); });
  }
  Result<std::vector<link::CommitFile>> rest() {
    return wait([&] { return collector.rest(run, kKey, &folders); });
  }

  template <class Work>
  Result<std::vector<link::CommitFile>> wait(Work work) {
    std::optional<Result<std::vector<link::CommitFile>>> result;
    auto all = [&]() -> awaitable<void> { result = co_await work(); };
    asio::co_spawn(runtime.executor(), all, [](const std::exception_ptr& error) {
      if (error) std::rethrow_exception(error);
    });
    runtime.run_ready();
    REQUIRE(result.has_value());
    return std::move(*result);
  }

  files::TempFolder temp;
  EngineFolders folders;
  VirtualRuntime runtime;
  net::HttpClient http{runtime};
  EngineClient engine{runtime, http, net::parse_url("http://127.0.0.1:1").value(), "test"};
  Spool spool = Spool::make(temp / "spool", "w1").value();
  Collector collector{runtime, spool};
  std::shared_ptr<RunFiles> run = std::make_shared<RunFiles>();
};

}  // namespace

TEST_CASE("a mesh that a node names by a text is taken as one that is named by an object, and once") {
  Rig rig;
  rig.write("output/atelier/7-1/3d/cup_00001.glb", "cup");
  const auto taken = rig.collect(
      R"({"3d":[{"filename":"cup_00001.glb","subfolder":"atelier/7-1/3d","type":"output"}],
          "result":["atelier/7-1/3d/cup_00001.glb",{"zoom":1}]})");
  REQUIRE(taken);
  REQUIRE(taken->size() == 1);
  CHECK((*taken)[0].place == "3d/0\nresult/0");
  CHECK((*taken)[0].folder == "3d");
  CHECK((*taken)[0].digest == sha256("cup"));
  CHECK(rig.rest()->empty());
}

TEST_CASE("a file that is named so often that no place can say it becomes more than one file") {
  Rig rig;
  rig.write("output/atelier/7-1/cup_00001.glb", "cup");
  std::string names;
  for (int i = 0; i < 300; ++i)
    names += R"({"filename":"cup_00001.glb","subfolder":"atelier/7-1","type":"output"},)";
  names.pop_back();
  const auto taken = rig.collect(R"({"3d":[)" + names + "]}");
  REQUIRE(taken);
  CHECK(taken->size() == 2);
  std::size_t lines = 0;
  for (const link::CommitFile& file : *taken) {
    CHECK(file.place.size() <= link::kNameBytesMax);
    lines += 1 + static_cast<std::size_t>(std::ranges::count(file.place, '\n'));
  }
  CHECK(lines == 300);
}

TEST_CASE("a mesh of a random name is taken from the folder in which it lies") {
  Rig rig;
  const std::string mesh(kMesh);
  SUBCASE("output") { rig.write("output/" + mesh, "cup"); }
  SUBCASE("temp") { rig.write("temp/" + mesh, "cup"); }
  const bool in_temp = std::filesystem::exists(rig.temp / ("temp/" + mesh));
  rig.write("temp/bg_00001_.png", "no picture");
  const auto taken = rig.collect(R"({"result":[")" + mesh + R"(",null,"temp/bg_00001_.png"]})");
  REQUIRE(taken);
  REQUIRE(taken->size() == 2);
  CHECK((*taken)[0].place == "result/0");
  CHECK((*taken)[0].type == (in_temp ? link::FileType::temp : link::FileType::output));
  CHECK((*taken)[1].type == link::FileType::temp);
}

TEST_CASE("a text that names no file of the job stays a text") {
  Rig rig;
  rig.write("output/atelier/8-1/secret.glb", "another's");
  rig.write("output/cup.glb", "somebody's");
  const auto taken = rig.collect(
      R"({"result":["atelier/8-1/secret.glb","cup.glb","atelier/7-1/../8-1/secret.glb","atelier/7-1/gone.glb"]})");
  REQUIRE(taken);
  CHECK(taken->empty());
}

TEST_CASE("a text that names what an earlier node has named is no second file, unless it is a mesh") {
  Rig rig;
  for (const char* name : {"cup_00001_.gif", "cup_00001.glb", "odd_00001_.gif"})
    rig.write(std::string("output/atelier/7-1/") + name, name);
  const auto saved = rig.collect(
      R"({"gifs":[{"filename":"cup_00001_.gif","subfolder":"atelier/7-1","type":"output"}],
          "3d":[{"filename":"cup_00001.glb","subfolder":"atelier/7-1","type":"output"}],
          "text":["/comfy/output/atelier/7-1/cup_00001_.gif"]})",
      "3");
  REQUIRE(saved);
  CHECK(saved->size() == 2);
  const auto shown = rig.collect(
      R"({"text":["/comfy/output/atelier/7-1/cup_00001_.gif","/comfy/output/atelier/7-1/odd_00001_.gif"],
          "result":["atelier/7-1/cup_00001.glb"]})",
      "4");
  REQUIRE(shown);
  REQUIRE(shown->size() == 2);
  CHECK((*shown)[0].place == "text/1");
  CHECK((*shown)[1].place == "result/0");
}

TEST_CASE("a text that names a file before it is there keeps it from nobody") {
  Rig rig;
  const char* shown = R"({"text":["/comfy/output/atelier/7-1/cup_00001_.gif"]})";
  CHECK(rig.collect(shown, "3")->empty());
  rig.write("output/atelier/7-1/cup_00001_.gif", "cup");
  SUBCASE("who saves it names it by a text, too") {
    CHECK(rig.collect(shown, "4")->size() == 1);
    CHECK(rig.collect(shown, "5")->empty());
    CHECK(rig.rest()->empty());
  }
  SUBCASE("who saves it does not name it") { CHECK(rig.rest()->size() == 1); }
}

TEST_CASE("a text that names a file which is no result stays a text, and an object that names it does not") {
  Rig rig;
  rig.run->prompt_texts = {"{}", "{}", "{}"};
  const std::string mesh(kMesh);
  rig.write("output/" + mesh, "glTF, and broken");
  rig.write("output/atelier/7-1/empty.glb", "");
  rig.write("output/atelier/7-1/broken.png", "\x89PNG\r\n\x1a\n, and broken");
  const auto taken =
      rig.collect(R"({"text":["atelier/7-1/empty.glb","atelier/7-1/broken.png",")" + mesh + R"("]})");
  REQUIRE(taken);
  CHECK(taken->empty());
  for (const std::string& name : {std::string("empty.glb"), std::string("broken.png"), mesh}) {
    const std::string folder = name == mesh ? "" : "atelier/7-1";
    const auto named = rig.collect(R"({"images":[{"filename":")" + name + R"(","subfolder":")" + folder +
                                   R"(","type":"output"}]})");
    REQUIRE_FALSE(named);
    CHECK(named.error().code == (name == mesh ? Errc::forbidden : Errc::bad_request));
  }
}

TEST_CASE("a file in another job's folder is neither delivered nor removed, and said") {
  Rig rig;
  rig.write("output/atelier/8-1/x_00001_.png", "another's");
  const auto taken =
      rig.collect(R"({"images":[{"filename":"x_00001_.png","subfolder":"atelier/8-1","type":"output"}]})");
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == Errc::forbidden);
  CHECK(std::filesystem::exists(rig.temp / "output/atelier/8-1/x_00001_.png"));
}

TEST_CASE("a file whose prefix came by a link is taken beside all folders") {
  Rig rig;
  rig.write("output/trip/x_00004_.png", "linked");
  const auto taken =
      rig.collect(R"({"images":[{"filename":"x_00004_.png","subfolder":"trip","type":"output"}]})");
  REQUIRE(taken);
  REQUIRE(taken->size() == 1);
  CHECK((*taken)[0].folder == "trip");
  CHECK_FALSE((*taken)[0].in_job_folder);  // its number is everybody's
}

TEST_CASE("the picture beside a video travels with it, under one number, and not a second time") {
  Rig rig;
  rig.write("output/atelier/7-1/film_00001.mp4", "film");
  rig.write("output/atelier/7-1/film_00001.png", "a picture");
  const auto taken = rig.collect(
      R"({"gifs":[{"filename":"film_00001.mp4","subfolder":"atelier/7-1","type":"output","workflow":"film_00001.png",
          "fullpath":"/comfy/output/atelier/7-1/film_00001.mp4"}]})");
  REQUIRE(taken);
  REQUIRE(taken->size() == 2);
  CHECK((*taken)[1].place == "gifs/0/workflow");
  CHECK((*taken)[1].stem == (*taken)[0].stem);
  CHECK((*taken)[1].number == (*taken)[0].number);
  CHECK(rig.rest()->empty());
}

}  // namespace atelier::agent
