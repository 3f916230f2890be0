// SPDX-License-Identifier: MIT
#include "gateway/static/static_files.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "unit/files/temp_folder.hpp"
#include "unit/gateway/run.hpp"

namespace atelier::gateway {
namespace {

/// A front end's folder: one script with both compressed forms, one with gzip only, and some other files.
struct Folder {
  Folder() {
    files::write_text(temp / "index.html", "<html>");
    files::write_text(temp / "assets/api-BA-sjSl5.js", "0123456789");
    files::write_text(temp / "assets/api-BA-sjSl5.js.gz", "gzip");
    files::write_text(temp / "assets/api-BA-sjSl5.js.br", "brotli");
    files::write_text(temp / "extensions/core/a.js", "a");
    files::write_text(temp / "extensions/core/a.js.gz", "gzip of a");
    files::write_text(temp / "extensions/core/b.js", "b");
    files::write_text(temp / "pictures/logo.png", "png");
    files::write_text(temp / "lonely.css.gz", "gzip");
    files::write_text(temp / "outside.txt", "secret");
    std::filesystem::create_symlink("outside.txt", temp / "link.txt");
    files = std::make_unique<StaticFiles>(runtime, temp.path());
  }
  struct Got {
    bool found = false;
    unsigned status = 0;
    std::string body;
    net::HeaderList headers;
  };
  Got get(const std::string& path, net::HeaderList headers = {}, bool head = false) {
    net::Request request;
    request.headers = std::move(headers);
    request.is_head = head;
    auto response = test::run(runtime, files->serve(request, path));
    Got got;
    if (!response) return got;
    got.found = true;
    got.status = response->status;
    for (const auto field : *response->shared_headers) got.headers.add(field.name, field.value);
    for (const auto field : response->headers) got.headers.add(field.name, field.value);
    got.body = test::read_body(runtime, response->body);
    return got;
  }

  VirtualRuntime runtime;
  files::TempFolder temp{files::TempFolder::Place::memory};
  std::unique_ptr<StaticFiles> files;
};

const std::string kScript = "assets/api-BA-sjSl5.js";

TEST_CASE("a name counts as hashed only with a hash in it: a digit or a capital among eight characters") {
  for (const std::string name : {"assets/api-BA-sjSl5.js", "assets/index-1a2b3c4d.css",
                                 "assets/x-ABCDEFGH.woff2", "assets/sub/x-_bcdefG1.js"}) {
    CAPTURE(name);
    CHECK(has_hashed_name(name));
  }
  for (const std::string name :
       {"assets/site-settings.js", "assets/my-pictures.png", "assets/the-my-image.png", "assets/x-12345678",
        "assets/x-1234567.js", "assets/x-123456789.js", "assets/12345678.js", "scripts/x-12345678.js",
        "x-12345678.js", "assets/x-1234 678.js", "assets/", "", "assets/a.js"}) {
    CAPTURE(name);
    CHECK_FALSE(has_hashed_name(name));
  }
}

TEST_CASE("a coding is accepted if it is named with a weight above zero") {
  for (const std::string header :
       {"gzip", "GZIP", "br, gzip", "gzip;q=0.5", "deflate, gzip ; q=0.001, br", "br,gzip;q=1.0"}) {
    CAPTURE(header);
    CHECK(accepts_coding(header, "gzip"));
  }
  for (const std::string header :
       {"", "br", "gzip;q=0", "gzip;q=0.000", "gzip ; q=0.0, br", "x-gzip", "gzipped", "identity", ",,;"}) {
    CAPTURE(header);
    CHECK_FALSE(accepts_coding(header, "gzip"));
  }
}

TEST_CASE("a file is sent with its type, its tag and how long it may be kept") {
  Folder folder;
  auto got = folder.get("index.html");
  CHECK(got.status == 200);
  CHECK(got.body == "<html>");
  CHECK(got.headers.get("Content-Type").starts_with("text/html"));
  CHECK(got.headers.get("Cache-Control") == "no-cache");
  CHECK(got.headers.get("X-Content-Type-Options") == "nosniff");
  CHECK(folder.get(kScript).headers.get("Cache-Control") == "public, max-age=31536000, immutable");
  CHECK(folder.get("pictures/logo.png").headers.get("Cache-Control") == "public, max-age=86400");
}

TEST_CASE("of the compressed forms the best that the browser takes is sent, each with its own tag") {
  Folder folder;
  const auto plain = folder.get(kScript);
  const auto gzip = folder.get(kScript, {{"Accept-Encoding", "gzip"}});
  const auto brotli = folder.get(kScript, {{"Accept-Encoding", "gzip, br"}});
  CHECK(plain.body == "0123456789");
  CHECK(gzip.body == "gzip");
  CHECK(brotli.body == "brotli");
  CHECK_FALSE(plain.headers.contains("Content-Encoding"));
  CHECK(gzip.headers.get("Content-Encoding") == "gzip");
  CHECK(brotli.headers.get("Content-Encoding") == "br");
  for (const auto* got : {&plain, &gzip, &brotli}) {
    CHECK(got->headers.get("Vary") == "Accept-Encoding");
    CHECK(got->headers.get("Content-Type").find("javascript") != std::string_view::npos);
  }
  CHECK(plain.headers.get("ETag") != gzip.headers.get("ETag"));
  CHECK(gzip.headers.get("ETag") != brotli.headers.get("ETag"));
  CHECK(folder.get("extensions/core/a.js", {{"Accept-Encoding", "br, gzip"}}).body == "gzip of a");
  CHECK(folder.get("extensions/core/b.js", {{"Accept-Encoding", "br, gzip"}}).body == "b");
  CHECK(folder.get(kScript, {{"Accept-Encoding", "gzip;q=0"}}).body == "0123456789");
}

TEST_CASE("a file that has not changed is 304, by the tag of the form asked for or by the time") {
  Folder folder;
  const auto plain = folder.get(kScript);
  const std::string etag(plain.headers.get("ETag"));
  const auto same = folder.get(kScript, {{"If-None-Match", etag}});
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  CHECK(same.headers.get("ETag") == etag);
  CHECK(folder.get(kScript, {{"If-None-Match", etag}, {"Accept-Encoding", "gzip"}}).status == 200);
  CHECK(folder.get(kScript, {{"If-None-Match", "\"other\""}}).status == 200);
  const std::string modified(plain.headers.get("Last-Modified"));
  CHECK(folder.get(kScript, {{"If-Modified-Since", modified}}).status == 304);
  CHECK(folder.get(kScript, {{"If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"}}).status == 200);
}

TEST_CASE("a range is cut out of the plain form, and one beyond the end is 416") {
  Folder folder;
  auto got = folder.get(kScript, {{"Range", "bytes=2-4"}, {"Accept-Encoding", "gzip"}});
  CHECK(got.status == 206);
  CHECK(got.body == "234");
  CHECK(got.headers.get("Content-Range") == "bytes 2-4/10");
  CHECK_FALSE(got.headers.contains("Content-Encoding"));
  got = folder.get(kScript, {{"Range", "bytes=10-"}});
  CHECK(got.status == 416);
  CHECK(got.headers.get("Content-Range") == "bytes */10");
  CHECK(got.body.empty());
}

TEST_CASE("HEAD says the length and opens no file") {
  Folder folder;
  std::filesystem::remove(folder.temp / kScript);
  const auto got = folder.get(kScript, {}, true);
  CHECK(got.status == 200);
  CHECK(got.headers.get("Content-Length") == "10");
  CHECK(got.body.empty());
  CHECK(folder.get(kScript, {{"Accept-Encoding", "br"}}, true).headers.get("Content-Length") == "6");
}

TEST_CASE("names that were not there at the start, links and compressed forms alone are not served") {
  Folder folder;
  files::write_text(folder.temp / "late.js", "late");
  for (const std::string path :
       {"late.js", "link.txt", "lonely.css", "lonely.css.gz", "assets", "assets/", "", "../data",
        "assets/../index.html", "/index.html", "assets/api-BA-sjSl5.js.gz"}) {
    CAPTURE(path);
    CHECK_FALSE(folder.get(path).found);
    CHECK_FALSE(folder.files->contains(path));
  }
  CHECK(folder.files->names_below("extensions/") ==
        std::vector<std::string>{"extensions/core/a.js", "extensions/core/b.js"});
  CHECK(folder.files->names_below("nothing/").empty());
}

TEST_CASE("a file that went away since the start is 404") {
  Folder folder;
  std::filesystem::remove(folder.temp / "index.html");
  net::Request request;
  auto response = test::run(folder.runtime, folder.files->serve(request, "index.html"));
  REQUIRE(response.has_value());
  CHECK(response->status == 404);
}

TEST_CASE("no folder and a folder that is not there hold no files") {
  VirtualRuntime runtime;
  CHECK(StaticFiles(runtime, "").size() == 0);
  CHECK(StaticFiles(runtime, "/nowhere/at/all").size() == 0);
}

}  // namespace
}  // namespace atelier::gateway
