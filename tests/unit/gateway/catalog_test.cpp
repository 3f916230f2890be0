// SPDX-License-Identifier: MIT
#include "gateway/catalog/catalog.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "unit/files/temp_folder.hpp"
#include "unit/gateway/run.hpp"

namespace atelier::gateway::test {
namespace {

TEST_CASE("what connected engines have is kept however many they are, and so is what one brings next") {
  files::TempFolder folder{files::TempFolder::Place::memory};
  files::Stores stores(folder.path());
  VirtualRuntime& runtime = stores.runtime;
  Catalog catalog(runtime, *stores.files);
  const auto add = [&](int n) {
    const auto bytes = std::make_shared<const std::string>(
        fmt::format(R"({{"Node{}":{{"input":{{}},"output":[],"name":"Node{}"}}}})", n, n));
    const Digest hash = sha256(*bytes);
    REQUIRE(run(runtime, catalog.add(hash, bytes)).has_value());
    CHECK(catalog.ability(hash) != nullptr);
    return hash;
  };
  std::set<Digest> connected;
  std::map<std::string, std::set<Digest>> workers;
  for (int n = 0; n < 40; ++n) {
    const Digest hash = add(n);
    connected.insert(hash);
    workers[fmt::format("gpu-{}", n)] = {hash};
    catalog.set_connected(workers);
  }
  for (const Digest& hash : connected) CHECK(catalog.knows(hash));
  CHECK(catalog.object_info()->size() == 40);

  std::vector<Digest> gone;  // of engines that have others by now
  for (int n = 40; n < 60; ++n) gone.push_back(add(n));
  CHECK_FALSE(catalog.knows(gone.front()));
  CHECK(catalog.knows(gone.back()));
  for (const Digest& hash : connected) CHECK(catalog.knows(hash));
}

/// The workers gpu-1, with Common and One, and gpu-2, with Common and Two.
struct TwoWorkers {
  TwoWorkers() { both(); }
  Digest add(const std::string& bytes) {
    const auto info = std::make_shared<const std::string>(bytes);
    REQUIRE(run(runtime, catalog.add(sha256(*info), info)).has_value());
    return sha256(*info);
  }
  void both() { catalog.set_connected({{"gpu-1", {one}}, {"gpu-2", {two}}}); }
  void only_second() { catalog.set_connected({{"gpu-2", {two}}}); }
  bool has(std::string_view name) { return catalog.object_info()->find(name) != nullptr; }
  std::string type_of_common() {
    return std::string(catalog.object_info()->find("Common")->output_types.at(0)->as_string());
  }

  files::TempFolder folder{files::TempFolder::Place::memory};
  files::Stores stores{folder.path()};
  VirtualRuntime& runtime = stores.runtime;
  Catalog catalog{runtime, *stores.files};
  Digest one = add(R"({"Common":{"output":["MASK"]},"One":{}})");
  Digest two = add(R"({"Common":{"output":["IMAGE"]},"Two":{}})");
};

TEST_CASE("the nodes of a worker that went stay for ten minutes, and those here describe what both have") {
  TwoWorkers room;
  CHECK(room.has("One"));
  CHECK(room.type_of_common() == "MASK");
  room.only_second();
  CHECK(room.has("One"));
  CHECK(room.type_of_common() == "IMAGE");
  room.runtime.advance(milliseconds{599'000});
  room.only_second();  // its time counts from when it went
  CHECK(room.has("One"));
  const std::uint64_t before = room.catalog.generation();
  room.runtime.advance(milliseconds{1'000});
  CHECK(room.catalog.generation() > before);
  CHECK_FALSE(room.has("One"));
  CHECK(room.has("Two"));

  room.both();
  room.only_second();
  room.runtime.advance(milliseconds{300'000});
  room.both();
  room.only_second();
  room.runtime.advance(milliseconds{599'000});
  CHECK(room.has("One"));
}

TEST_CASE("a worker whose ComfyUI starts keeps its nodes, one that has other nodes by now does not") {
  TwoWorkers room;
  room.catalog.set_connected({{"gpu-1", {}}, {"gpu-2", {room.two}}});
  CHECK(room.has("One"));
  room.catalog.set_connected({{"gpu-1", {sha256("not known here yet")}}, {"gpu-2", {room.two}}});
  CHECK(room.has("One"));
  const Digest three = room.add(R"({"Three":{}})");
  room.catalog.set_connected({{"gpu-1", {three}}, {"gpu-2", {room.two}}});
  CHECK(room.has("Three"));
  CHECK_FALSE(room.has("One"));

  room.only_second();
  room.catalog.forget("gpu-1");
  CHECK_FALSE(room.has("Three"));
}

TEST_CASE("while no worker is connected the union stays, for as long as that lasts") {
  TwoWorkers room;
  room.catalog.set_connected({});
  room.runtime.advance(milliseconds{3'600'000});
  CHECK(room.has("One"));
  CHECK(room.has("Two"));
  room.only_second();  // the first to come back
  CHECK(room.has("One"));
  CHECK(room.has("Two"));
  room.runtime.advance(milliseconds{600'000});
  CHECK_FALSE(room.has("One"));
  CHECK(room.has("Two"));
}

}  // namespace
}  // namespace atelier::gateway::test
