// SPDX-License-Identifier: MIT
// /object_info as each participant gets it, and what the server tells of itself.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <zlib.h>

#include <boost/json.hpp>
#include <chrono>
#include <filesystem>

#include "gateway/participant/object_info_cache.hpp"
#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

namespace json = boost::json;

std::string gunzip(std::string_view packed) {
  std::string out(1 << 20, '\0');
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

json::value images_of(const json::value& info) {
  return info.at("LoadImage").at("input").at("required").at("image").at(0);
}

TEST_CASE("object_info lists each participant's own files, never the worker's or another one's") {
  Rig rig;
  rig.upload(7, "cat.png", "7");
  rig.upload(7, "notes.txt", "no picture");
  rig.upload(8, "dog.png", "8");
  rig.upload(8, "made.png", "8", {{"type", "output"}});
  const Reply seven = rig.get("/user/7/api/object_info");
  CHECK(images_of(seven.json()) == json::value{"cat.png"});
  CHECK(images_of(rig.get("/user/8/object_info").json()) == json::value{"dog.png"});
  CHECK(images_of(rig.get("/user/9/object_info").json()).as_array().empty());
  CHECK(seven.body.find("worker.png") == std::string::npos);
  CHECK(seven.body.find("dog.png") == std::string::npos);
  CHECK(seven.body.find("made.png") == std::string::npos);
  CHECK(seven.body.find("\"/user/7/internal/files/output\"") != std::string::npos);
  CHECK(rig.get("/user/8/object_info").body.find("\"/user/8/internal/files/output\"") != std::string::npos);
}

TEST_CASE("one class is answered alone with the same lists, an unknown one as an empty object") {
  Rig rig;
  rig.upload(7, "cat.png", "7");
  const auto one = rig.get("/user/7/object_info/LoadImage").json();
  CHECK(one.as_object().size() == 1);
  CHECK(images_of(one) == json::value{"cat.png"});
  CHECK(images_of(rig.get("/user/8/object_info/LoadImage").json()).as_array().empty());
  CHECK(rig.get("/user/7/object_info/Nope").body == "{}");
}

TEST_CASE("object_info is 304 until the catalog or the participant's own files change") {
  Rig rig;
  const std::string etag(rig.get("/user/7/object_info").headers.get("ETag"));
  const auto again = [&](int participant) {
    return rig.get(fmt::format("/user/{}/object_info", participant), {{"If-None-Match", etag}}).status;
  };
  CHECK(again(7) == 304);
  rig.upload(8, "dog.png", "8");
  CHECK(again(7) == 304);
  CHECK(again(9) == 200);  // another participant's answer has another tag
  rig.upload(7, "cat.png", "7");
  CHECK(again(7) == 200);
  REQUIRE(rig.files->participants().remove(ParticipantId{7}, files::FolderType::input, "", "cat.png"));
  CHECK(again(7) == 304);
  const auto more = std::make_shared<const std::string>(R"({"New":{"input":{},"output":[],"name":"New"}})");
  REQUIRE(rig.run(rig.catalog->add(sha256(*more), more)).has_value());
  CHECK(again(7) == 200);
  CHECK(rig.get("/user/7/object_info").json().as_object().contains("New"));
}

TEST_CASE("a browser that takes gzip gets the same content packed, with a tag of its own") {
  Rig rig;
  rig.upload(7, "cat.png", "7");
  const Reply plain = rig.get("/user/7/object_info");
  for (int i = 0; i < 2; ++i) {  // made, then from the cache
    const Reply packed = rig.get("/user/7/object_info", {{"Accept-Encoding", "gzip, br"}});
    CHECK(packed.headers.get("Content-Encoding") == "gzip");
    CHECK(packed.headers.get("Vary") == "Accept-Encoding");
    CHECK(packed.headers.get("ETag") != plain.headers.get("ETag"));
    CHECK(gunzip(packed.body) == plain.body);
  }
  const Reply other = rig.get("/user/8/object_info", {{"Accept-Encoding", "gzip"}});
  CHECK(gunzip(other.body).find("cat.png") == std::string::npos);
  const std::string tag(rig.get("/user/7/object_info", {{"Accept-Encoding", "gzip"}}).headers.get("ETag"));
  CHECK(rig.get("/user/7/object_info", {{"Accept-Encoding", "gzip"}, {"If-None-Match", tag}}).status == 304);
  CHECK(rig.get("/user/7/object_info", {{"If-None-Match", tag}}).status == 200);
  CHECK_FALSE(
      rig.get("/user/7/object_info", {{"Accept-Encoding", "gzip;q=0"}}).headers.contains("Content-Encoding"));
}

TEST_CASE("an upload makes anew what one participant sees and nothing else") {
  Rig rig;
  ObjectInfoCache cache(rig.runtime, *rig.files, *rig.catalog, 1 << 20);
  const auto body = [&](std::uint64_t n) {
    auto ask = [&cache, n]() -> awaitable<std::string> {
      const auto state = co_await cache.state(ParticipantId{n});
      const auto packed = co_await cache.compressed(ParticipantId{n}, state);
      co_return packed ? std::string((*packed)->body.view()) : std::string();
    };
    return gunzip(rig.run(ask()));
  };
  CHECK(body(7) == rig.get("/user/7/object_info").body);
  CHECK(body(8) == rig.get("/user/8/object_info").body);
  CHECK(cache.counters().packings == 1);
  CHECK(cache.counters().joinings == 2);
  rig.upload(7, "cat.png", "a picture");
  CHECK(body(7).find("cat.png") != std::string::npos);
  CHECK(body(8).find("cat.png") == std::string::npos);
  CHECK(cache.counters().packings == 1);
  CHECK(cache.counters().joinings == 3);
  // An operator's file in a folder that is older than the clock's tick is seen, too.
  files::write_text(rig.folder / "data/participants/8/input/sub/deep.png", "x");
  files::write_text(rig.folder / "data/participants/8/input/dog.png", "x");
  CHECK(body(8).find("dog.png") != std::string::npos);
  // Once folders were found unchanged, others' files come a moment later, and ours at once.
  namespace fs = std::filesystem;
  const std::string root = rig.folder / "data/participants/8/";
  for (const char* folder : {"input", "input/sub", "output"}) {
    fs::last_write_time(root + folder, fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  CHECK(body(8).find("bird.png") == std::string::npos);
  CHECK(body(8).find("bird.png") == std::string::npos);
  files::write_text(root + "input/bird.png", "x");
  CHECK(body(8).find("bird.png") == std::string::npos);
  rig.upload(8, "fish.png", "a picture");
  CHECK(body(8).find("fish.png") != std::string::npos);
  CHECK(body(8).find("bird.png") != std::string::npos);
  fs::last_write_time(root + "input", fs::file_time_type::clock::now() - std::chrono::hours(1));
  CHECK(body(8).find("frog.png") == std::string::npos);
  CHECK(body(8).find("frog.png") == std::string::npos);
  files::write_text(root + "input/frog.png", "x");
  auto wait = [&rig]() -> awaitable<bool> { return rig.runtime.sleep_for(ObjectInfoCache::kLookAgain); };
  CHECK(rig.run(wait()));
  CHECK(body(8).find("frog.png") != std::string::npos);
}

TEST_CASE("file lists hold what fits the input, at the top or below its sub-folder") {
  FileLists lists;
  lists.input = {"3d/a/cup.glb", "3d/x.txt", "a.png", "song.mp3", "sub/b.png", "v.mp4"};
  lists.output = {"made.png"};
  const auto pick = [&](comfy::FileType folder, comfy::ContentKind kind, std::string subfolder = "") {
    return lists.pick({folder, kind, std::move(subfolder)});
  };
  using List = std::vector<std::string>;
  CHECK(pick(comfy::FileType::input, comfy::ContentKind::image) == List{"a.png"});
  CHECK(pick(comfy::FileType::input, comfy::ContentKind::video) == List{"v.mp4"});
  CHECK(pick(comfy::FileType::input, comfy::ContentKind::audio) == List{"song.mp3", "v.mp4"});
  CHECK(pick(comfy::FileType::input, comfy::ContentKind::model3d, "3d") == List{"3d/a/cup.glb"});
  CHECK(pick(comfy::FileType::output, comfy::ContentKind::image) == List{"made.png"});
  CHECK(pick(comfy::FileType::temp, comfy::ContentKind::image) == List{});
}

TEST_CASE("folders with files for a dataset are listed, and latents at the top") {
  FileLists lists;
  lists.input = {"a.latent", "deep/b/c/x.png", "faces/10_cat/1.txt", "faces/b.latent"};
  using List = std::vector<std::string>;
  comfy::FileListKey latents, folders;
  latents.content = comfy::ContentKind::latent;
  folders.folders = true;
  CHECK(lists.pick(latents) == List{"a.latent"});
  // Of "deep" ComfyUI's nodes would read nothing.
  CHECK(lists.pick(folders) == List{"deep/b", "deep/b/c", "faces", "faces/10_cat"});
}

TEST_CASE("the digest of file lists changes with every name and with the folder that has it") {
  FileLists a, b, c, d;
  a.input = {"x", "y"};
  b.input = {"xy"};
  c.input = {"x"};
  c.output = {"y"};
  d.input = {"x", "y"};
  CHECK(a.digest() == d.digest());
  CHECK(a.digest() != b.digest());
  CHECK(a.digest() != c.digest());
  CHECK(FileLists{}.digest() != a.digest());
}

TEST_CASE("features tell the limit of an upload and that there is no asset system") {
  RigOptions options;
  options.face.upload_bytes_max = 12'345;
  Rig rig(options);
  const auto flags = rig.get("/user/7/api/features").json();
  CHECK(flags.at("max_upload_size") == 12'345);
  CHECK(flags.at("supports_preview_metadata") == true);
  CHECK(flags.at("assets") == false);
  CHECK(rig.get("/user/7/api/assets").status == 503);
  CHECK(rig.get("/user/7/api/assets/a/b").status == 503);
  CHECK(rig.get("/user/7/api/tags").status == 503);
  CHECK(rig.post("/user/7/api/assets", "{}").status == 503);
  CHECK(rig.send(net::Method::delete_, "/user/7/api/assets/a/tags").status == 503);
  CHECK(rig.get("/user/7/assets/a").status == 404);  // only below /api
}

TEST_CASE("the system's devices are the connected workers' own") {
  Rig rig;
  auto stats = rig.get("/user/7/system_stats").json();
  CHECK(stats.at("devices").as_array().empty());
  CHECK(stats.at("system").at("required_frontend_version") == "1.58.1");
  rig.face->set_workers([] {
    WorkerView worker;
    worker.version = "0.38.1";
    worker.device = "cuda:0 NVIDIA \"A\"";
    worker.vram_total = 24;
    worker.vram_free = 12;
    return std::vector<WorkerView>{worker};
  });
  stats = rig.get("/user/7/api/system_stats").json();
  CHECK(stats.at("system").at("comfyui_version") == "0.38.1");
  CHECK(stats.at("devices").at(0).at("name") == "cuda:0 NVIDIA \"A\"");
  CHECK(stats.at("devices").at(0).at("type") == "cuda");
  CHECK(stats.at("devices").at(0).at("vram_free") == 12);
}

TEST_CASE("models are those of the library, by folder") {
  Rig rig;
  files::write_text(rig.folder / "data/library/checkpoints/sd/a.safetensors", "weights");
  files::write_text(rig.folder / "data/library/checkpoints/readme.txt", "no model");
  files::write_text(rig.folder / "data/library/embeddings/style.pt", "e");
  CHECK(rig.get("/user/7/models/checkpoints").body == R"(["sd/a.safetensors"])");
  CHECK(rig.get("/user/7/models/loras").body == "[]");
  CHECK(rig.get("/user/7/models/nothing").status == 404);
  CHECK(rig.get("/user/7/models/..").status == 404);
  CHECK(rig.get("/user/7/embeddings").body == R"(["style"])");
  const auto listed = rig.get("/user/7/experiment/models/checkpoints").json();
  CHECK(listed.at(0).at("name") == "sd/a.safetensors");
  CHECK(listed.at(0).at("size") == 7);
  CHECK(listed.at(0).at("pathIndex") == 0);
  CHECK(rig.get("/user/7/experiment/models/custom_nodes").status == 200);  // listed nowhere, as stock
  const Reply folders = rig.get("/user/7/api/experiment/models");
  const json::value first = folders.json().at(0);
  CHECK(first.at("name") == "checkpoints");
  CHECK(folders.body.find("\"loras\"") != std::string::npos);
  CHECK(folders.body.find("custom_nodes") == std::string::npos);
  CHECK(folders.body.find(rig.folder.path()) == std::string::npos);
}

TEST_CASE("a model's metadata is read from the head of its file, and of what has none there is none") {
  Rig rig;
  const auto put = [&rig](const std::string& name, std::uint64_t length, const std::string& header) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xFF);
    files::write_text(rig.folder / ("data/library/loras/" + name), bytes + header + "tensors");
  };
  const std::string header = R"({"__metadata__":{"ss_tag":"x"},"t":{"dtype":"F16"}})";
  put("a.safetensors", header.size(), header);
  put("sub/b.safetensors", header.size(), header);
  put("none.safetensors", 2, "{}");
  put("long.safetensors", std::uint64_t{1} << 40, header);
  put("broken.safetensors", 5, "{nope");
  put("pickle.ckpt", header.size(), header);
  files::write_text(rig.folder / "data/library/loras/short.safetensors", "abc");
  files::write_text(rig.folder / "data/secret.safetensors", "abc");
  const auto ask = [&rig](const std::string& name) {
    return rig.get("/user/7/api/view_metadata/loras?filename=" + name);
  };
  CHECK(ask("a.safetensors").body == R"({"ss_tag":"x"})");
  CHECK(ask("sub%2Fb.safetensors").body == R"({"ss_tag":"x"})");
  for (const char* name : {"none.safetensors", "long.safetensors", "broken.safetensors", "pickle.ckpt",
                           "short.safetensors", "nowhere.safetensors", "", "..%2F..%2Fsecret.safetensors"}) {
    CAPTURE(name);
    CHECK(ask(name).status == 404);
    CHECK(ask(name).body.empty());
  }
  CHECK(rig.get("/user/7/view_metadata/nonsense?filename=a.safetensors").status == 404);
  CHECK(rig.get("/user/7/view_metadata/loras").status == 404);
  CHECK(rig.get("/user/7/experiment/models/preview/loras/0/a.safetensors").status == 404);  // no picture
  CHECK(rig.get("/user/7/experiment/models/preview/loras/1/a.safetensors").status == 400);
  CHECK(rig.get("/user/7/experiment/models/preview/loras/0/..%2F..%2Fsecret.safetensors").status == 403);
}

TEST_CASE("what there is nothing of has ComfyUI's empty form") {
  Rig rig;
  CHECK(rig.get("/user/7/api/users").body == R"({"storage":"server","migrated":true})");
  CHECK(rig.get("/user/7/api/global_subgraphs/x").body == "null");
  for (const char* path : {"i18n", "node_replacements", "workflow_templates", "global_subgraphs"}) {
    CHECK(rig.get(fmt::format("/user/7/api/{}", path)).body == "{}");
  }
  CHECK(rig.send(net::Method::patch, "/user/7/internal/logs/subscribe", "{}").status == 200);
}

}  // namespace
}  // namespace atelier::gateway::test
