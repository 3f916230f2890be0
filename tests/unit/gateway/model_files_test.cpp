// SPDX-License-Identifier: MIT
// /view_metadata and /experiment/models/preview, as far as no picture is decoded (that is
// tests/integration/pictures.py).
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

std::string safetensors(const std::string& header) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(header.size() >> (8 * i) & 0xFF));
  return bytes + header + "weights";
}

struct Library {
  Library() {
    put("loras/sub/cat.safetensors",
        safetensors(R"({"__metadata__":{"ss_tag":"{\"a\":1}"},"w":{"dtype":"F16"}})"));
    put("loras/plain.safetensors", safetensors("{}"));
    put("loras/list.safetensors", safetensors("[1]"));
    put("loras/broken.safetensors", safetensors("{\"a"));
    put("loras/huge.safetensors",
        safetensors(R"({"__metadata__":{"a":")" + std::string(1 << 20, 'x') + "\"}}"));
    put("loras/pickle.ckpt", safetensors(R"({"__metadata__":{}})"));
    put("loras/sub/cat.preview.png", "picture");
    put("configs/c.safetensors", safetensors(R"({"__metadata__":{}})"));
    files::write_text(rig.folder / "secret.safetensors", safetensors(R"({"__metadata__":{}})"));
    std::filesystem::create_symlink("../../../secret.safetensors",
                                    rig.folder / "data/library/loras/link.safetensors");
  }
  void put(const std::string& path, const std::string& bytes) {
    files::write_text(rig.folder / ("data/library/" + path), bytes);
  }
  Reply metadata(const std::string& folder, const std::string& filename) {
    return rig.get(fmt::format("/user/7/view_metadata/{}?filename={}", folder, filename));
  }
  Reply preview(const std::string& path) { return rig.get("/user/7/api/experiment/models/preview/" + path); }
  Rig rig;
};

TEST_CASE("the metadata of a model is what its header says about it") {
  Library library;
  const Reply reply = library.metadata("loras", "sub%2Fcat.safetensors");
  CHECK(reply.status == 200);
  CHECK(reply.body == R"({"ss_tag":"{\"a\":1}"})");
  CHECK(reply.headers.get("Content-Type").starts_with("application/json"));
  CHECK(library.rig.get("/user/7/api/view_metadata/loras?filename=sub/cat.safetensors").body == reply.body);
}

TEST_CASE("a file without metadata, outside the library or of another kind is 404 without a word") {
  Library library;
  for (const std::string name :
       {"plain.safetensors", "list.safetensors", "broken.safetensors", "huge.safetensors", "pickle.ckpt",
        "nothing.safetensors", "link.safetensors", "sub", "", "..%2Fconfigs%2Fc.safetensors",
        "..%2F..%2F..%2Fsecret.safetensors", "%2Fetc%2Fx.safetensors", "a%00.safetensors"}) {
    CAPTURE(name);
    const Reply reply = library.metadata("loras", name);
    CHECK(reply.status == 404);
    CHECK(reply.body.empty());
  }
  CHECK(library.metadata("configs", "c.safetensors").status == 404);
  CHECK(library.metadata("unet", "c.safetensors").status == 404);
  CHECK(library.metadata("..", "c.safetensors").status == 404);
  CHECK(library.rig.get("/user/7/view_metadata/loras").status == 404);
}

TEST_CASE("a preview of no model, a bad folder number and a path out of the folder are told apart") {
  Library library;
  CHECK(library.preview("loras/0/none.safetensors").status == 404);
  CHECK(library.preview("loras/0/plain.safetensors").status == 404);
  CHECK(library.preview("nonsense/0/x").status == 404);
  CHECK(library.preview("custom_nodes/0/x").status == 404);
  for (const std::string index : {"1", "-1", "00", "x", "0x0", "99999999999999999999"}) {
    CHECK(library.preview("loras/" + index + "/sub/cat.safetensors").status == 400);
  }
  for (const std::string path : {"../../secret.safetensors", "..%2F..%2Fsecret.safetensors", "%2e%2e/x",
                                 "sub/../../x", "%2Fetc%2Fpasswd"}) {
    CAPTURE(path);
    CHECK(library.preview("loras/0/" + path).status == 403);
  }
  CHECK(library.preview("loras/0/%zz").status == 404);
  CHECK(library.preview("loras/0/a%00").status == 404);
  CHECK(library.preview("loras/0/").status == 404);
  // There is one, but nobody here who could decode it.
  CHECK(library.preview("loras/0/sub/cat.safetensors").status == 404);
}

TEST_CASE("a preview asked for at the root is that of the page that asks") {
  Library library;
  const auto escaped = [&](std::string_view index, std::string referer) {
    return library.rig
        .get(fmt::format("/api/experiment/models/preview/loras/{}/a.safetensors", index),
             {{"Referer", referer}})
        .status;
  };
  CHECK(escaped("7", "http://localhost:8188/user/7/") == 400);  // reached the handler
  CHECK(escaped("7", "http://evil.test/user/7/") == 404);
  CHECK(escaped("7", "") == 404);
  CHECK(library.rig.get("/api/experiment/models", {{"Referer", "http://localhost:8188/user/7/"}}).status ==
        404);
}

}  // namespace
}  // namespace atelier::gateway::test
