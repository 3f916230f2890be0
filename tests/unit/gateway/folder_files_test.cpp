// SPDX-License-Identifier: MIT
#include "gateway/static/folder_files.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "unit/files/temp_folder.hpp"
#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {
namespace {

/// Templates and docs as the vendor step leaves them.
struct Vendored {
  Vendored() {
    files::write_text(temp / "templates/index.json", R"([{"title":"a"}])");
    files::write_text(temp / "templates/index.json.gz", "gzip");
    files::write_text(temp / "templates/index.json.br", "brotli");
    files::write_text(temp / "docs/KSampler/en.md", "# KSampler");
    files::write_text(temp / "docs/asset/a picture.png", "png");
    files::write_text(temp / "secret.txt", "secret");
    std::filesystem::create_symlink("../secret.txt", temp / "docs/link.md");
    RigOptions options;
    options.face.templates_folder = temp / "templates";
    options.face.docs_folder = temp / "docs";
    rig.emplace(options);
  }
  files::TempFolder temp{files::TempFolder::Place::memory};
  std::optional<Rig> rig;
};

TEST_CASE("workflow templates are JSON in the form that the browser takes, and known again by their tag") {
  Vendored site;
  const Reply plain = site.rig->get("/user/7/templates/index.json");
  CHECK(plain.status == 200);
  CHECK(plain.headers.get("Content-Type").starts_with("application/json"));
  CHECK(plain.body == R"([{"title":"a"}])");
  const Reply packed = site.rig->get("/user/7/templates/index.json", {{"Accept-Encoding", "gzip, br"}});
  CHECK(packed.headers.get("Content-Encoding") == "br");
  CHECK(packed.body == "brotli");
  CHECK(site.rig->get("/user/7/templates/index.json", {{"Accept-Encoding", "gzip"}}).body == "gzip");
  const std::string tag(packed.headers.get("ETag"));
  CHECK(site.rig->get("/user/7/templates/index.json", {{"Accept-Encoding", "br"}, {"If-None-Match", tag}})
            .status == 304);
  CHECK(site.rig->get("/user/7/templates/index.json", {{"If-None-Match", tag}}).status == 200);
  CHECK(text(site.rig->get("/user/7/system_stats").json().at("system").at("installed_templates_version")) ==
        "0.11.97");
}

TEST_CASE("pages about nodes are markdown, ranges of them too, and what is not there is no page") {
  Vendored site;
  const Reply page = site.rig->get("/user/7/docs/KSampler/en.md");
  CHECK(page.status == 200);
  CHECK(page.headers.get("Content-Type") == "text/markdown; charset=utf-8");
  CHECK(page.body == "# KSampler");
  CHECK(site.rig->get("/user/7/docs/asset/a%20picture.png").body == "png");
  CHECK(site.rig->get("/user/7/docs/KSampler/en.md", {{"Range", "bytes=2-3"}}).body == "KS");
  for (const char* path :
       {"KSampler/xx.md", "KSampler", "KSampler/", "", "link.md", "../secret.txt", "%2e%2e/secret.txt",
        "..%2Fsecret.txt", "/etc/passwd", "KSampler/en.md%00", "%zz"}) {
    CAPTURE(path);
    const Reply missing = site.rig->get(std::string("/user/7/docs/") + path);
    CHECK(missing.status == 404);
    CHECK(missing.headers.get("Content-Type").starts_with("text/plain"));
  }
  CHECK(site.rig->get("/user/7/templates/index.json.br").status == 404);
  CHECK(site.rig->get("/user/7/templates/..%2Fsecret.txt").status == 404);
}

TEST_CASE("without templates and docs there are none, and nothing claims otherwise") {
  Rig rig;
  CHECK(rig.get("/user/7/templates/index.json").status == 404);
  CHECK(rig.get("/user/7/docs/KSampler/en.md").status == 404);
  CHECK(rig.get("/user/7/system_stats").json().at("system").at("installed_templates_version").is_null());
}

}  // namespace
}  // namespace atelier::gateway::test
