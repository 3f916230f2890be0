// SPDX-License-Identifier: MIT
// /userdata, /v2/userdata and /settings.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

using net::Method;

TEST_CASE(
    "a workflow is saved, listed, read, moved and deleted with the statuses that the front end demands") {
  Rig rig;
  CHECK(rig.get("/user/7/api/userdata?dir=workflows").status == 404);
  Reply reply =
      rig.post("/user/7/api/userdata/workflows%2Fa.json?overwrite=false&full_info=true", "{\"a\":1}");
  CHECK(reply.status == 200);
  auto info = reply.json();
  CHECK(info.at("path") == "workflows/a.json");
  CHECK(info.at("size") == 7);
  CHECK(info.at("modified").is_int64());
  CHECK(info.at("created").is_int64());

  reply = rig.get("/user/7/userdata/workflows%2Fa.json");
  CHECK(reply.status == 200);
  CHECK(reply.body == "{\"a\":1}");
  CHECK(reply.headers.get("Content-Type").starts_with("application/json"));

  CHECK(rig.get("/user/7/userdata?dir=workflows").body == R"(["a.json"])");
  CHECK(rig.get("/user/7/userdata?dir=workflows&split=true").body == R"([["a.json","a.json"]])");
  info = rig.get("/user/7/userdata?dir=workflows&full_info=TRUE").json();
  CHECK(info.at(0).at("path") == "a.json");
  CHECK(info.at(0).at("size") == 7);

  reply = rig.post("/user/7/userdata/workflows%2Fa.json/move/workflows%2Fsub%2Fb.json?overwrite=false");
  CHECK(reply.status == 200);
  CHECK(reply.body == R"("workflows/sub/b.json")");
  CHECK(rig.get("/user/7/userdata/workflows%2Fa.json").status == 404);
  CHECK(rig.get("/user/7/userdata?dir=workflows&recurse=true").body == R"(["sub/b.json"])");
  CHECK(rig.get("/user/7/userdata?dir=workflows").body == "[]");

  reply = rig.send(Method::delete_, "/user/7/userdata/workflows%2Fsub%2Fb.json");
  CHECK(reply.status == 204);
  CHECK(reply.body.empty());
  CHECK(rig.send(Method::delete_, "/user/7/userdata/workflows%2Fsub%2Fb.json").status == 404);
}

TEST_CASE("a file that stands is 409 in plain text unless it may be overwritten") {
  Rig rig;
  CHECK(rig.post("/user/7/userdata/a.json", "1").body == R"("a.json")");
  Reply reply = rig.post("/user/7/userdata/a.json?overwrite=false", "2");
  CHECK(reply.status == 409);
  CHECK(reply.headers.get("Content-Type").starts_with("text/plain"));
  CHECK(rig.get("/user/7/userdata/a.json").body == "1");
  CHECK(rig.post("/user/7/userdata/a.json", "3").status == 200);
  CHECK(rig.get("/user/7/userdata/a.json").body == "3");
  rig.post("/user/7/userdata/b.json", "b");
  CHECK(rig.post("/user/7/userdata/b.json/move/a.json?overwrite=false").status == 409);
  CHECK(rig.get("/user/7/userdata/a.json").body == "3");
  CHECK(rig.post("/user/7/userdata/b.json/move/a.json?overwrite=true").status == 200);
  CHECK(rig.get("/user/7/userdata/a.json").body == "b");
  CHECK(rig.post("/user/7/userdata/none.json/move/x.json").status == 404);
}

TEST_CASE("a name encoded once or twice is the same file, and a slash that is not encoded is another path") {
  Rig rig;
  REQUIRE(rig.post("/user/7/userdata/workflows%252Fmy%2520cat.json", "x").status == 200);
  CHECK(rig.get("/user/7/userdata/workflows%2Fmy%20cat.json").body == "x");
  CHECK(rig.get("/user/7/userdata/workflows%252Fmy%2520cat.json").body == "x");
  CHECK(rig.get("/user/7/userdata/workflows/my%20cat.json").status == 404);
  CHECK(rig.get("/user/7/userdata?dir=workflows").body == R"(["my cat.json"])");
  REQUIRE(rig.post("/user/7/userdata/100%25.json", "y").status == 200);  // "100%.json" once decoded
  CHECK(rig.get("/user/7/userdata/100%25.json").body == "y");
}

TEST_CASE("a path that leaves the folder is 403, however it is encoded") {
  Rig rig;
  rig.post("/user/8/userdata/secret.json", "of 8");
  for (const std::string name :
       {"..%2F..%2F8%2Fuserdata%2Fsecret.json", "..%252F..%252F8%252Fuserdata%252Fsecret.json",
        "workflows%2F..%2F..%2Fx.json", "%2Fetc%2Fpasswd"}) {
    CAPTURE(name);
    CHECK(rig.get("/user/7/userdata/" + name).status == 403);
    CHECK(rig.post("/user/7/userdata/" + name, "x").status == 403);
    CHECK(rig.send(Method::delete_, "/user/7/userdata/" + name).status == 403);
    CHECK(rig.post("/user/7/userdata/" + name + "/move/y.json").status == 403);
  }
  rig.post("/user/7/userdata/a.json", "a");
  CHECK(rig.post("/user/7/userdata/a.json/move/..%2F..%2F8%2Fuserdata%2Fsecret.json").status == 403);
  const Reply listing = rig.get("/user/7/userdata?dir=..%2F..%2F8");
  CHECK(listing.status == 403);
  CHECK(listing.body == "Invalid directory");
  const Reply second = rig.get("/user/7/v2/userdata?path=..");
  CHECK(second.status == 400);
  CHECK(second.body == "Invalid path requested");
  CHECK(rig.get("/user/8/userdata/secret.json").body == "of 8");
}

TEST_CASE("each participant has files of their own") {
  Rig rig;
  rig.post("/user/7/userdata/workflows%2Fa.json", "of 7");
  CHECK(rig.get("/user/8/userdata/workflows%2Fa.json").status == 404);
  rig.post("/user/8/userdata/workflows%2Fa.json", "of 8");
  CHECK(rig.get("/user/7/userdata/workflows%2Fa.json").body == "of 7");
  rig.send(Method::delete_, "/user/8/userdata/workflows%2Fa.json");
  CHECK(rig.get("/user/7/userdata?dir=workflows").body == R"(["a.json"])");
  CHECK(rig.get("/user/8/userdata?dir=workflows").body == "[]");
}

TEST_CASE("listing needs a folder, and dotfiles are readable but not listed") {
  Rig rig;
  CHECK(rig.get("/user/7/userdata").status == 400);
  CHECK(rig.get("/user/7/userdata?dir=").status == 400);
  rig.post("/user/7/userdata/workflows%2F.index.json", "{}");
  rig.post("/user/7/userdata/workflows%2Fa.json", "{}");
  for (const char* dir : {"workflows", "./workflows", "workflows/.", "%2577orkflows"}) {
    CAPTURE(dir);
    CHECK(rig.get(std::string("/user/7/userdata?dir=") + dir).body == R"(["a.json"])");
  }
  CHECK(rig.get("/user/7/userdata/workflows%2F.index.json").body == "{}");
  CHECK(rig.get("/user/7/userdata?dir=nowhere").body == "Directory not found");
}

TEST_CASE("the second listing has folders first and times in seconds") {
  Rig rig;
  rig.post("/user/7/userdata/z%2Fb.json", "bb");
  rig.post("/user/7/userdata/a.json", "a");
  const auto listed = rig.get("/user/7/v2/userdata").json();
  REQUIRE(listed.as_array().size() == 3);
  CHECK(listed.at(0).at("path") == "z");
  CHECK(listed.at(0).at("type") == "directory");
  CHECK_FALSE(listed.at(0).as_object().contains("size"));
  bool found = false;
  for (const auto& entry : listed.as_array()) {
    if (entry.at("path") != "z/b.json") continue;
    found = true;
    CHECK(entry.at("name") == "b.json");
    CHECK(entry.at("type") == "file");
    CHECK(entry.at("size") == 2);
    CHECK(entry.at("modified").is_double());
  }
  CHECK(found);
  CHECK(rig.get("/user/7/v2/userdata?path=nowhere").body == "Requested path not found");
  CHECK(rig.get("/user/7/v2/userdata?path=a.json").body == "Requested path is not a directory");
  rig.post("/user/7/userdata/z%2FZ.json", "");
  rig.post("/user/7/userdata/z%2F.hidden", "");
  std::string names;
  for (const auto& entry : rig.get("/user/7/v2/userdata?path=z").json().as_array())
    names += text(entry.at("name")) + ' ';
  CHECK(names == ".hidden b.json Z.json ");
}

TEST_CASE("what a participant stored never runs as script, but their own style applies") {
  Rig rig;
  rig.post("/user/7/userdata/evil.html", "<script>");
  const Reply page = rig.get("/user/7/userdata/evil.html");
  CHECK(page.headers.get("Content-Type") == "application/octet-stream");
  CHECK(page.headers.get("Content-Disposition").starts_with("attachment"));
  rig.post("/user/7/userdata/user.css", "a{}");
  const Reply style = rig.get("/user/7/userdata/user.css");
  CHECK(style.headers.get("Content-Type") == "text/css; charset=utf-8");
  CHECK_FALSE(style.headers.contains("Content-Disposition"));
  CHECK(rig.get("/user/7/userdata/sub%2Fuser.css").status == 404);
}

TEST_CASE("above the quota a file is 507, and room comes back with every delete, overwrite and move") {
  RigOptions options;
  options.quota.bytes = 100;
  Rig rig(options);
  const std::string thirty(30, 'x'), sixty(60, 'x');
  for (int i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(rig.post("/user/7/userdata/a.json", sixty).status == 200);
    CHECK(rig.send(Method::delete_, "/user/7/userdata/a.json").status == 204);
  }
  CHECK(rig.post("/user/7/userdata/a.json", sixty).status == 200);
  const Reply full = rig.post("/user/7/userdata/b.json", sixty);
  CHECK(full.status == 507);
  CHECK(full.headers.contains("Retry-After"));
  CHECK(rig.post("/user/8/userdata/b.json", sixty).status == 200);  // another one's quota
  for (int i = 0; i < 5; ++i) {
    CAPTURE(i);
    CHECK(rig.post("/user/7/userdata/a.json", thirty).status == 200);
    CHECK(rig.post("/user/7/userdata/b.json", thirty).status == 200);
    CHECK(rig.post("/user/7/userdata/b.json/move/b.json").status == 200);  // stays where it is
    CHECK(rig.post("/user/7/userdata/b.json/move/a.json").status == 200);
  }
  CHECK(rig.files->quota().usage(ParticipantId{7}).bytes == 30);
  CHECK(rig.files->quota().usage(ParticipantId{7}).files == 1);
}

TEST_CASE("settings have our defaults until the participant sets their own") {
  Rig rig;
  auto all = rig.get("/user/7/api/settings").json();
  CHECK(all.at("Comfy.TutorialCompleted") == true);
  CHECK(all.at("Comfy.InstalledVersion") == "1.58.1");
  CHECK(all.at("Comfy.Notification.ShowVersionUpdates") == false);
  CHECK(rig.get("/user/7/settings/Comfy.UseNewMenu").body == R"("Top")");
  CHECK(rig.get("/user/7/settings/Comfy.Nothing").body == "null");

  Reply reply = rig.post("/user/7/settings/Comfy.UseNewMenu", R"("Bottom")");
  CHECK(reply.status == 200);
  CHECK(reply.body.empty());
  CHECK(rig.get("/user/7/settings/Comfy.UseNewMenu").body == R"("Bottom")");
  CHECK(rig.post("/user/7/settings", R"({"Comfy.TutorialCompleted":false,"own":[1,null]})").status == 200);
  all = rig.get("/user/7/settings").json();
  CHECK(all.at("Comfy.TutorialCompleted") == false);
  CHECK(all.at("Comfy.UseNewMenu") == "Bottom");
  CHECK(text(all.at("own")) == "[1,null]");
  CHECK(rig.get("/user/8/settings").json().at("Comfy.TutorialCompleted") == true);
  CHECK_FALSE(rig.get("/user/8/settings").json().as_object().contains("own"));
}

TEST_CASE("settings that are no JSON change nothing") {
  Rig rig;
  CHECK(rig.post("/user/7/settings", "[1]").status == 400);
  CHECK(rig.post("/user/7/settings", "oops").status == 400);
  CHECK(rig.post("/user/7/settings/a", "oops").status == 400);
  CHECK(rig.get("/user/7/settings/a").body == "null");
}

}  // namespace
}  // namespace atelier::gateway::test
