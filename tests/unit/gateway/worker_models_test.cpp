// SPDX-License-Identifier: MIT
// The models that workers have: how they come, who lists them, and how long.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <set>

#include "comfy/model_lists.hpp"
#include "unit/gateway/link_rig.hpp"

namespace atelier::gateway::test {
namespace {

std::string lists_of(const std::vector<std::string>& loras) {
  comfy::ModelLists lists;
  lists.add("loras");
  for (const std::string& name : loras) lists.add("loras", name, {5, 1764512345.25, 1764512346.5});
  return lists.print();
}

/// A catalog with the workers gpu-1 and gpu-2.
struct Room {
  Digest add(const std::string& text, bool models) {
    const auto bytes = std::make_shared<const std::string>(text);
    const Digest hash = sha256(*bytes);
    REQUIRE(run(runtime, models ? catalog.add_models(hash, bytes) : catalog.add(hash, bytes)).has_value());
    return hash;
  }
  void both() { catalog.set_connected({{"gpu-1", {info, one}}, {"gpu-2", {info, two}}}); }
  void only_second() { catalog.set_connected({{"gpu-2", {info, two}}}); }
  void only_second_lists() { catalog.set_connected({{"gpu-1", {info}}, {"gpu-2", {info, two}}}); }
  static std::set<std::string> loras(const Catalog& of) {
    std::set<std::string> names;
    for (const auto& lists : of.models()) {
      for (const auto& [name, file] : *lists->find("loras")) names.insert(name);
    }
    return names;
  }
  std::set<std::string> loras() const { return loras(catalog); }
  using Names = std::set<std::string>;

  files::TempFolder folder{files::TempFolder::Place::memory};
  files::Stores stores{folder.path()};
  VirtualRuntime& runtime = stores.runtime;
  Catalog catalog{runtime, *stores.files};
  Digest info = add(R"({"Node":{}})", false);
  Digest one = add(lists_of({"a.pt", "both.pt"}), true);
  Digest two = add(lists_of({"b.pt", "both.pt"}), true);
};

TEST_CASE("the models of a worker that went stay listed for ten minutes, and the nodes are not merged anew") {
  Room room;
  room.both();
  const std::uint64_t before = room.catalog.generation();
  CHECK(room.loras() == Room::Names{"a.pt", "b.pt", "both.pt"});
  room.only_second();
  room.runtime.advance(milliseconds{599'000});
  CHECK(room.loras() == Room::Names{"a.pt", "b.pt", "both.pt"});
  room.runtime.advance(milliseconds{1'000});
  CHECK(room.loras() == Room::Names{"b.pt", "both.pt"});
  CHECK(room.catalog.generation() == before);
  room.catalog.set_connected({});
  room.runtime.advance(milliseconds{3'600'000});
  CHECK(room.loras() == Room::Names{"b.pt", "both.pt"});
}

TEST_CASE("a worker that has other models by now lists these at once, one that starts what it had") {
  Room room;
  room.both();
  const Digest three = room.add(lists_of({"c.pt"}), true);
  room.catalog.set_connected({{"gpu-1", {room.info, three}}, {"gpu-2", {room.info, room.two}}});
  CHECK(room.loras() == Room::Names{"c.pt", "b.pt", "both.pt"});
  // Its ComfyUI comes up with nodes that are not known here yet.
  room.catalog.set_connected({{"gpu-1", {sha256("later"), room.one}}, {"gpu-2", {room.info, room.two}}});
  CHECK(room.loras() == Room::Names{"c.pt", "b.pt", "both.pt"});
  room.only_second_lists();  // an older agent
  CHECK(room.loras() == Room::Names{"b.pt", "both.pt"});
  room.only_second();
  room.catalog.forget("gpu-1");
  CHECK(room.loras() == Room::Names{"b.pt", "both.pt"});
}

TEST_CASE("the models that workers had are listed after a restart, before the first one comes") {
  Room room;
  room.both();
  Catalog next(room.runtime, *room.stores.files);
  REQUIRE(run(room.runtime, next.load()).has_value());
  CHECK(next.knows(room.one));
  CHECK(Room::loras(next) == Room::Names{"a.pt", "b.pt", "both.pt"});
  next.set_connected({{"gpu-2", {room.info, room.two}}});
  CHECK(Room::loras(next) == Room::Names{"b.pt", "both.pt"});
  next.set_connected({{"gpu-2", {room.info}}});
  CHECK(next.models().empty());
}

TEST_CASE("what a worker had before is not listed after a restart") {
  Room room;
  room.both();
  room.only_second_lists();
  run(room.runtime, room.catalog.drop_old_models());
  CHECK_FALSE(room.catalog.knows(room.one));
  CHECK(room.loras() == Room::Names{"b.pt", "both.pt"});
  Catalog next(room.runtime, *room.stores.files);
  REQUIRE(run(room.runtime, next.load()).has_value());
  CHECK(Room::loras(next) == Room::Names{"b.pt", "both.pt"});
  // It has them again.
  room.add(lists_of({"a.pt", "both.pt"}), true);
  room.both();
  run(room.runtime, room.catalog.drop_old_models());
  CHECK(room.catalog.knows(room.one));
}

TEST_CASE("lists that a worker has asked for stay for a minute, though nobody has them any more") {
  Room room;
  room.both();
  CHECK(room.catalog.expect(room.one));
  CHECK(room.catalog.expect(room.info));
  CHECK_FALSE(room.catalog.expect(sha256("others")));
  room.only_second_lists();
  room.runtime.advance(milliseconds{50'000});
  run(room.runtime, room.catalog.drop_old_models());
  CHECK(room.catalog.knows(room.one));
  CHECK(room.loras() == Room::Names{"b.pt", "both.pt"});
  SUBCASE("and the worker has them") {
    room.both();
    room.runtime.advance(milliseconds{50'000});
    run(room.runtime, room.catalog.drop_old_models());
    CHECK(room.loras() == Room::Names{"a.pt", "b.pt", "both.pt"});
  }
  SUBCASE("and it never says so") {
    room.runtime.advance(milliseconds{50'000});
    run(room.runtime, room.catalog.drop_old_models());
    CHECK_FALSE(room.catalog.knows(room.one));
  }
}

TEST_CASE("lists that nobody has any more leave memory and disk, damaged ones are skipped") {
  Room room;
  room.both();
  Digest last;
  for (int n = 0; n < 40; ++n) last = room.add(lists_of({fmt::format("{}.pt", n)}), true);
  const auto& disk = room.stores.files->data().catalog();
  CHECK(disk.open_file(last.hex() + ".models.json"));
  CHECK(disk.list("", {})->entries.size() == 1 + 2 + 16);
  CHECK(room.catalog.knows(room.one));
  CHECK_FALSE(room.catalog.knows(sha256(lists_of({"3.pt"}))));
  files::write_text(room.folder.path() + "/data/catalog/" + last.hex() + ".models.json", "{");
  Catalog next(room.runtime, *room.stores.files);
  REQUIRE(run(room.runtime, next.load()).has_value());
  CHECK_FALSE(next.knows(last));
  CHECK(next.knows(sha256(lists_of({"38.pt"}))));
}

constexpr std::string_view kLists =
    R"({"checkpoints":{"sd/a.safetensors":{"size":5,"modified":1.5,"created":2.5},)"
    R"("own.safetensors":{"size":9,"modified":9,"created":9},"../up.pt":{"size":1}},)"
    R"("embeddings":{"sub.d/easy.neg.pt":{},"Bad.safetensors":{},"x.pt":{"size":1,"named":false}},)"
    R"("ipadapter":{},)"
    R"("unet":{"x.pt":{}},"..":{"x.pt":{}},"custom_nodes":{"x.py":{}}})";

struct Reported {
  explicit Reported(const std::string& lists = std::string(kLists)) : hash(sha256(lists)) {
    put(lists);
    link::EngineReady ready;
    ready.comfy_version = "0.21.0";
    ready.object_info = sha256(kObjectInfo);
    ready.models = hash;
    agent.say(ready);
  }
  unsigned put(const std::string& body) {
    return agent.send(net::Method::put, "/worker/models/" + hash.hex(), body).status;
  }
  std::string get(const std::string& path) { return rig.get("/user/7" + path).body; }

  Digest hash;
  LinkRig rig;
  Agent agent{rig};
};

TEST_CASE("models that only a worker has are listed beside the library's") {
  Reported room;
  files::write_text(room.rig.folder / "data/library/checkpoints/own.safetensors", "library");
  CHECK(room.get("/models/checkpoints") == R"(["own.safetensors","sd/a.safetensors"])");
  const auto listed = room.rig.get("/user/7/experiment/models/checkpoints").json();
  REQUIRE(listed.as_array().size() == 2);
  CHECK(listed.at(0).at("size") == 7);  // its details and picture can be asked for
  CHECK(listed.at(1) == boost::json::parse(R"({"name":"sd/a.safetensors","pathIndex":0,"modified":1.5,)"
                                           R"("created":2.5,"size":5})"));
  CHECK(room.get("/embeddings") == R"(["Bad","sub.d/easy.neg"])");
  CHECK(room.get("/models/embeddings") == R"(["Bad.safetensors","sub.d/easy.neg.pt"])");
  CHECK(room.get("/experiment/models/embeddings") ==
        R"([{"name":"x.pt","pathIndex":0,"modified":0.000000,"created":0.000000,"size":1}])");
  CHECK(room.get("/models/ipadapter") == "[]");
  CHECK(room.get("/experiment/models/ipadapter") == "[]");
  CHECK(room.get("/models").ends_with(R"("optical_flow","ipadapter"])"));
  CHECK(room.get("/experiment/models").ends_with(R"({"name":"ipadapter","folders":["/models/ipadapter"]}])"));
  for (const std::string folder : {"unet", "clip", "..", "nothing", "ipadapter/"}) {
    CHECK(room.rig.get("/user/7/models/" + folder).status == 404);
    CHECK(room.rig.get("/user/7/experiment/models/" + folder).status == 404);
  }
  CHECK(room.get("/models/custom_nodes") == "[]");
  CHECK(room.rig.get("/user/7/view_metadata/checkpoints?filename=sd/a.safetensors").status == 404);
}

TEST_CASE("lists come by their hash, once, and an agent that joins with unknown ones is asked for them") {
  Reported room;
  const std::string path = "/worker/models/" + room.hash.hex();
  CHECK(room.agent.send(net::Method::head, path).status == 200);
  CHECK(room.put(std::string(kLists)) == 204);
  const std::string other = lists_of({"new.pt"});
  room.hash = sha256(other);
  CHECK(room.agent.send(net::Method::head, "/worker/models/" + room.hash.hex()).status == 404);
  CHECK(room.put("other bytes") == 422);
  CHECK(room.agent.send(net::Method::post, path).status == 405);
  CHECK(room.agent.send(net::Method::put, "/worker/models/nonsense", other).status == 400);
  CHECK(room.get("/models/loras") == "[]");
  // It names them before they are here: they count from when they come.
  link::EngineReady ready;
  ready.object_info = sha256(kObjectInfo);
  ready.models = room.hash;
  room.agent.say(ready);
  CHECK(room.get("/models/checkpoints") == "[]");
  CHECK(room.put(other) == 204);
  CHECK(room.get("/models/loras") == R"(["new.pt"])");

  const Digest third = sha256("not here yet");
  CHECK(Agent(room.rig, "gpu-2", 2, 2, {}, third).wanted() == std::vector<Digest>{third});
  CHECK(Agent(room.rig, "gpu-3", 3, 1, {}, room.hash).wanted().empty());
  CHECK(Agent(room.rig, "gpu-4", 4).wanted().empty());
}

TEST_CASE("lists of a wrong form are refused, and list nothing") {
  for (const std::string lists : {R"([])", R"({"loras":[]})", R"({"loras":{"a.pt":1}})", "{"}) {
    Reported room(lists);
    CHECK(room.put(lists) == 400);
    CHECK(room.get("/models/loras") == "[]");
  }
}

}  // namespace
}  // namespace atelier::gateway::test
