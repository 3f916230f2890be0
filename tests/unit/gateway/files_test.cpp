// SPDX-License-Identifier: MIT
// /upload/image, /view, /internal/files, and what leaves the prefix.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>

#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

Reply view(Rig& rig, int participant, const std::string& query, net::HeaderList headers = {}) {
  return rig.get(fmt::format("/user/{}/api/view?{}", participant, query), std::move(headers));
}

TEST_CASE("an upload lies in the participant's input folder, under the name it is told") {
  Rig rig;
  const Reply reply = rig.upload(7, "cat.png", "first");
  CHECK(reply.status == 200);
  CHECK(text(reply.json()) == R"({"name":"cat.png","subfolder":"","type":"input"})");
  CHECK(view(rig, 7, "filename=cat.png&type=input").body == "first");
  CHECK(view(rig, 8, "filename=cat.png&type=input").status == 404);
}

TEST_CASE("of several fields of one name the first counts") {
  Rig rig;
  const Reply reply =
      rig.upload(7, "cat.png", "first",
                 {{"subfolder", "one"}, {"type", "temp"}, {"subfolder", "two"}, {"type", "input"}});
  CHECK(text(reply.json()) == R"({"name":"cat.png","subfolder":"one","type":"temp"})");
}

TEST_CASE("the same name with the same bytes is the same file, with other bytes it gets a number") {
  Rig rig;
  CHECK(rig.upload(7, "cat.png", "first").json().at("name") == "cat.png");
  CHECK(rig.upload(7, "cat.png", "first").json().at("name") == "cat.png");
  CHECK(rig.upload(7, "cat.png", "second").json().at("name") == "cat (1).png");
  CHECK(rig.upload(7, "cat.png", "third").json().at("name") == "cat (2).png");
  CHECK(rig.upload(7, "cat.png", "second").json().at("name") == "cat (1).png");
  CHECK(view(rig, 7, "filename=cat.png&type=input").body == "first");
  CHECK(view(rig, 7, "filename=cat%20(1).png&type=input").body == "second");
  CHECK(rig.upload(8, "cat.png", "of 8").json().at("name") == "cat.png");
  CHECK(view(rig, 7, "filename=cat.png&type=input").body == "first");
}

TEST_CASE("an upload may overwrite, and go into a sub-folder of another kind") {
  Rig rig;
  rig.upload(7, "cat.png", "first");
  CHECK(rig.upload(7, "cat.png", "second", {{"overwrite", "true"}}).json().at("name") == "cat.png");
  CHECK(view(rig, 7, "filename=cat.png&type=input").body == "second");
  CHECK(rig.upload(7, "cat.png", "third", {{"overwrite", "1"}}).json().at("name") == "cat.png");
  CHECK(rig.upload(7, "cat.png", "x", {{"overwrite", "false"}}).json().at("name") == "cat (1).png");
  const Reply mask = rig.upload(7, "m.png", "mask", {{"subfolder", "clipspace/a"}, {"type", "temp"}});
  CHECK(text(mask.json()) == R"({"name":"m.png","subfolder":"clipspace/a","type":"temp"})");
  CHECK(view(rig, 7, "filename=m.png&type=temp&subfolder=clipspace/a").body == "mask");
}

TEST_CASE("an upload that is no file, leaves its folder or is of an unknown kind is 400") {
  Rig rig;
  CHECK(rig.upload(7, "cat.png", "x", {{"type", "models"}}).status == 400);
  for (const std::string name : {"../cat.png", "a/../../cat.png", "/etc/passwd", "..", ""}) {
    CAPTURE(name);
    const Reply reply = rig.upload(7, name, "x");
    CHECK(reply.status == 400);
    CHECK(reply.body.empty());
  }
  for (const std::string subfolder : {"..", "../../8/input", "/etc", "a/../.."}) {
    CAPTURE(subfolder);
    CHECK(rig.upload(7, "cat.png", "x", {{"subfolder", subfolder}}).status == 400);
  }
  CHECK(rig.post("/user/7/upload/image", "no form").status == 400);
  CHECK(rig.post("/user/7/upload/image", "--XX\r\n", {{"Content-Type", "multipart/form-data; boundary=XX"}})
            .status == 400);
  CHECK(rig.get("/user/8/internal/files/input").body == "[]");
}

TEST_CASE("above the limit of one file an upload is 413 before anything is read, and while it is read") {
  RigOptions options;
  options.face.upload_bytes_max = 100;
  Rig rig(options);
  CHECK(rig.upload(7, "cat.png", std::string(101, 'x')).status == 413);
  CHECK(rig.upload(7, "cat.png", std::string(200'000, 'x')).status == 413);
  CHECK(rig.upload(7, "cat.png", std::string(100, 'x')).status == 200);
  CHECK(rig.files->quota().usage(ParticipantId{7}).reserved_bytes == 0);
}

TEST_CASE("the quota counts uploads once, whatever was overwritten, refused or there already") {
  RigOptions options;
  options.quota.bytes = 2'000;
  Rig rig(options);
  for (int i = 0; i < 10; ++i) {
    CAPTURE(i);
    CHECK(rig.upload(7, "cat.png", std::string(500, static_cast<char>('a' + i)), {{"overwrite", "true"}})
              .status == 200);
    CHECK(rig.upload(7, "cat.png", std::string(500, static_cast<char>('a' + i))).status == 200);
    CHECK(rig.upload(7, "..", std::string(500, 'x')).status == 400);
  }
  const auto usage = rig.files->quota().usage(ParticipantId{7});
  CHECK(usage.bytes == 500);
  CHECK(usage.files == 1);
  CHECK(usage.reserved_bytes == 0);
  CHECK(rig.upload(7, "dog.png", std::string(1'900, 'x')).status == 507);
}

TEST_CASE("view finds outputs by default, and the suffix of a name wins over the type") {
  Rig rig;
  rig.upload(7, "a.png", "input");
  rig.upload(7, "a.png", "output", {{"type", "output"}});
  CHECK(view(rig, 7, "filename=a.png").body == "output");
  CHECK(view(rig, 7, "filename=a.png&type=input").body == "input");
  CHECK(view(rig, 7, "filename=a.png%20[input]&type=output").body == "input");
  CHECK(view(rig, 7, "filename=a.png&rand=0.5&t=1").status == 200);
  CHECK(rig.get("/user/7/view?filename=a.png").status == 200);
}

TEST_CASE("view leaves its folder in no spelling, and answers in stock's order") {
  Rig rig;
  rig.upload(8, "secret.png", "of 8", {{"type", "output"}});
  CHECK(view(rig, 7, "").status == 404);
  CHECK(view(rig, 7, "filename=").status == 400);
  CHECK(view(rig, 7, "filename=a.png&type=models").status == 400);
  CHECK(view(rig, 7, "filename=nothing.png").status == 404);
  for (const std::string name : {"../../8/output/secret.png", "..%2F..%2F8%2Foutput%2Fsecret.png", "a..b.png",
                                 "/etc/passwd", "%2Fetc%2Fpasswd", "..", "..%5C..%5C8%5Csecret.png"}) {
    CAPTURE(name);
    CHECK(view(rig, 7, "filename=" + name).status == 400);
  }
  for (const std::string subfolder : {"..", "../../8/output", "..%2F..%2F8%2Foutput", "/etc", "a/../.."}) {
    CAPTURE(subfolder);
    CHECK(view(rig, 7, "filename=secret.png&subfolder=" + subfolder).status == 403);
  }
  CHECK(view(rig, 7, "filename=%2E%2E%2F8%2Fsecret.png").status == 400);
  CHECK(view(rig, 7, "filename=a%00.png").status == 400);
  CHECK(view(rig, 8, "filename=secret.png").body == "of 8");
}

TEST_CASE("view serves ranges, knows what the browser has, and makes active files downloads") {
  Rig rig;
  rig.upload(7, "a.mp4", "0123456789", {{"type", "output"}});
  const Reply whole = view(rig, 7, "filename=a.mp4");
  CHECK(whole.headers.get("Content-Type") == "video/mp4");
  CHECK(whole.headers.get("Content-Disposition") == "filename=\"a.mp4\"");
  const Reply part = view(rig, 7, "filename=a.mp4", {{"Range", "bytes=4-"}});
  CHECK(part.status == 206);
  CHECK(part.body == "456789");
  CHECK(view(rig, 7, "filename=a.mp4", {{"If-None-Match", whole.headers.get("ETag")}}).status == 304);
  rig.upload(7, "a.svg", "<svg onload=alert(1)>", {{"type", "output"}});
  const Reply svg = view(rig, 7, "filename=a.svg");
  CHECK(svg.headers.get("Content-Type") == "application/octet-stream");
  CHECK(svg.headers.get("Content-Disposition").starts_with("attachment"));
}

TEST_CASE("the folder listing has the participant's own files, newest first, with their kind") {
  Rig rig;
  rig.upload(7, "a.png", "a", {{"type", "output"}});
  rig.upload(7, ".hidden", "h", {{"type", "output"}});
  rig.upload(8, "b.png", "b", {{"type", "output"}});
  CHECK(rig.get("/user/7/internal/files/output").body == R"(["a.png [output]"])");
  CHECK(rig.get("/user/7/internal/files/input").body == "[]");
  CHECK(rig.get("/user/7/internal/files/models").status == 400);
}

TEST_CASE("a view that left its prefix is served as the participant whose page asked") {
  Rig rig;
  rig.upload(7, "a.png", "of 7", {{"type", "output"}});
  rig.upload(8, "a.png", "of 8", {{"type", "output"}});
  const auto escaped = [&](std::string referer) {
    return rig.get("/api/view?filename=a.png", {{"Referer", referer}});
  };
  CHECK(escaped("http://localhost:8188/user/7/").body == "of 7");
  CHECK(escaped("http://localhost:8188/user/8/assets/x.js?a#b").body == "of 8");
  CHECK(escaped("http://LOCALHOST:8188/user/7").body == "of 7");
  for (const std::string referer :
       {"", "http://localhost:8188/", "http://evil.test/user/7/", "http://localhost/user/7/",
        "http://localhost:8188/user/07/", "http://localhost:8188/user/21/", "/user/7/",
        "http://localhost:8188/x/user/7/", "http://localhost:8188@evil.test/user/7/"}) {
    CAPTURE(referer);
    CHECK(escaped(referer).status == 404);
  }
  CHECK(rig.get("/api/view?filename=a.png").status == 404);
  CHECK(rig.post("/api/view?filename=a.png", "", {{"Referer", "http://localhost:8188/user/7/"}}).status ==
        404);
  CHECK(rig.get("/api/queue", {{"Referer", "http://localhost:8188/user/7/"}}).status == 404);
}

struct Site {
  Site() {
    files::write_text(temp / "front/index.html", "<html><head><title>x</title></head></html>");
    files::write_text(temp / "front/assets/api-BA-sjSl5.js", "script");
    files::write_text(temp / "front/scripts/app.js", "shim");
    files::write_text(temp / "front/extensions/core/x.js", "core");
    files::write_text(temp / "own/boot.js", "boot");
    files::write_text(temp / "own/atelier.js", "own");
    files::write_text(temp / "welcome/welcome.png", "picture");
    files::write_text(temp / "welcome/Welcome.json", "{}");
    RigOptions options;
    options.face.frontend_folder = temp / "front";
    options.face.web_folder = temp / "own";
    options.face.welcome_folder = temp / "welcome";
    rig.emplace(options);
  }
  files::TempFolder temp{files::TempFolder::Place::memory};
  std::optional<Rig> rig;
};

TEST_CASE("the editor's page has our script before all others, and may talk to nobody else") {
  Site site;
  const Reply page = site.rig->get("/user/7/");
  CHECK(page.status == 200);
  CHECK(page.body.find("<head><script src=\"extensions/atelier/boot.js\"></script><title>") !=
        std::string::npos);
  CHECK(page.headers.get("Cache-Control") == "no-store, must-revalidate");
  CHECK(page.headers.get("Content-Security-Policy").find("default-src 'self'") != std::string_view::npos);
  CHECK(page.headers.get("Referrer-Policy") == "same-origin");
  const Reply packed = site.rig->get("/user/7/", {{"Accept-Encoding", "gzip, br"}});
  CHECK(packed.headers.get("Content-Encoding") == "gzip");
  CHECK(packed.body.starts_with("\x1f\x8b"));
  CHECK(site.rig->get("/user/7/extensions/atelier/boot.js").body == "boot");
  CHECK(site.rig->get("/user/7/extensions/atelier/none.js").status == 404);
  CHECK(site.rig->get("/user/7/user.css").body.find("login-button") != std::string::npos);
  CHECK(text(site.rig->get("/user/7/api/extensions").json()) ==
        R"(["/extensions/atelier/atelier.js","/extensions/core/x.js"])");
}

TEST_CASE("static files are served below each seat, and those that leave the prefix at the root") {
  Site site;
  CHECK(site.rig->get("/user/7/assets/api-BA-sjSl5.js").body == "script");
  CHECK(site.rig->get("/user/7/assets/%61pi-BA-sjSl5.js").body == "script");
  CHECK(site.rig->get("/assets/api-BA-sjSl5.js").body == "script");
  CHECK(site.rig->get("/scripts/app.js").body == "shim");
  CHECK(site.rig->get("/extensions/core/x.js").body == "core");
  CHECK(site.rig->get("/index.html").status == 404);
  CHECK(site.rig->get("/user/7/../../etc/passwd").status == 404);
  CHECK(site.rig->get("/user/7/assets/%2e%2e/index.html").status == 404);
  CHECK(site.rig->post("/assets/api-BA-sjSl5.js").status == 404);
}

TEST_CASE("the first visit finds a sample, and what was thrown away does not come back") {
  Site site;
  Rig& rig = *site.rig;
  rig.get("/user/7/");
  CHECK(rig.get("/user/7/userdata?dir=workflows").body == R"(["Welcome.json"])");
  CHECK(view(rig, 7, "filename=welcome.png&type=input").body == "picture");
  CHECK(rig.get("/user/8/internal/files/input").body == "[]");
  rig.send(net::Method::delete_, "/user/7/userdata/workflows%2FWelcome.json");
  rig.get("/user/7/");
  CHECK(rig.get("/user/7/userdata?dir=workflows").body == "[]");
}

TEST_CASE("without a front end the page says what is missing") {
  Rig rig;
  CHECK(rig.get("/user/7/").status == 404);
  CHECK(rig.get("/user/7/").body.find("FRONTEND_DIR") != std::string::npos);
}

}  // namespace
}  // namespace atelier::gateway::test
