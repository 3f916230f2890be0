// SPDX-License-Identifier: MIT
// /upload/mask, as far as no picture is decoded: that is tests/integration/pictures.py and unit/image.
#include <doctest/doctest.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

Reply mask(Rig& rig, const std::string& original_ref, Fields more = {}, std::string_view name = "mask.png") {
  more.emplace_back("original_ref", original_ref);
  return rig.upload(7, name, "mask", more, "/upload/mask");
}

TEST_CASE("a mask for a picture that is not there is answered with its name, and nothing is written") {
  Rig rig;
  rig.upload(8, "cat.png", "of 8");
  for (const std::string ref : {R"({"filename":"cat.png","type":"input"})", R"({"filename":"cat.png"})",
                                R"({"filename":"cat.png [temp]","type":"nonsense"})",
                                R"({"filename":"cat.png","subfolder":"nowhere/at/all","type":"input"})",
                                R"({"filename":"nowhere/cat.png","type":"input"})"}) {
    CAPTURE(ref);
    const Reply reply = mask(rig, ref, {{"subfolder", "clipspace"}});
    CHECK(reply.status == 200);
    CHECK(text(reply.json()) == R"({"name":"mask.png","subfolder":"clipspace","type":"input"})");
  }
  CHECK(rig.upload(7, "mask.png", "mask", {{"original_ref", R"({"filename":"x"})"}}, "/api/upload/mask")
            .status == 200);
  CHECK(rig.get("/user/7/internal/files/input").body == "[]");
  const auto usage = rig.files->quota().usage(ParticipantId{7});
  CHECK(usage.files == 0);
  CHECK(usage.reserved_bytes == 0);
}

TEST_CASE("a mask that does not say which picture is meant is 400 with the reason") {
  Rig rig;
  for (const std::string ref : {"", "no json", "[]", "{}", R"({"filename":""})", R"({"filename":7})",
                                R"({"filename":"a.png","type":"models"})", R"({"filename":"a.png","type":1})",
                                R"({"filename":"/etc/passwd"})", R"({"filename":"../a.png"})",
                                R"({"filename":"a..png"})", R"({"filename":"a.png","subfolder":[]})"}) {
    CAPTURE(ref);
    const Reply reply = mask(rig, ref);
    CHECK(reply.status == 400);
    CHECK(reply.body.find("original_ref") != std::string::npos);
  }
  CHECK(rig.upload(7, "mask.png", "mask", {}, "/upload/mask").status == 400);
}

TEST_CASE("a mask for a picture outside the folder is 403, and one that would lie outside is 400") {
  Rig rig;
  rig.upload(8, "secret.png", "of 8");
  for (const std::string subfolder : {"..", "../../8/input", "/etc", "a/../.."}) {
    CAPTURE(subfolder);
    CHECK(mask(rig, R"({"filename":"secret.png","type":"input","subfolder":")" + subfolder + "\"}").status ==
          403);
    CHECK(mask(rig, R"({"filename":"a.png"})", {{"subfolder", subfolder}}).status == 400);
  }
  CHECK(mask(rig, R"({"filename":"a.png"})", {}, "../mask.png").status == 400);
  CHECK(mask(rig, R"({"filename":"a.png"})", {{"type", "models"}}).status == 400);
  CHECK(rig.post("/user/7/upload/mask", "no form").status == 400);
}

TEST_CASE("without an image process a mask for a picture that is there is refused, and costs no quota") {
  Rig rig;
  rig.upload(7, "cat.png", "cat");
  CHECK(mask(rig, R"({"filename":"cat.png","type":"input"})").status == 501);
  const auto usage = rig.files->quota().usage(ParticipantId{7});
  CHECK(usage.files == 1);
  CHECK(usage.reserved_bytes == 0);
  CHECK(rig.get("/user/7/internal/files/input").body == R"(["cat.png [input]"])");
}

}  // namespace
}  // namespace atelier::gateway::test
