// SPDX-License-Identifier: MIT
#include "gateway/participant/file_answer.hpp"

#include <doctest/doctest.h>

#include "unit/files/temp_folder.hpp"
#include "unit/gateway/run.hpp"

namespace atelier::gateway {
namespace {

struct Shelf {
  Shelf() { files::write_text(temp / "data/file", "0123456789"); }
  net::Response answer(std::string_view name, net::HeaderList headers = {}) {
    net::Request request;
    request.headers = std::move(headers);
    auto file = stores->data().root().open_file("file");
    REQUIRE(file.has_value());
    return file_answer(request, std::move(*file), name);
  }
  std::string body(net::Response& response) { return test::read_body(stores.runtime, response.body); }

  files::TempFolder temp{files::TempFolder::Place::memory};
  files::Stores stores{temp.path()};
};

TEST_CASE("a picture is shown in place, under its own type") {
  Shelf shelf;
  auto response = shelf.answer("cat.png");
  CHECK(response.status == 200);
  CHECK(response.headers.get("Content-Type") == "image/png");
  CHECK(response.headers.get("Content-Disposition") == "filename=\"cat.png\"");
  CHECK(response.headers.get("X-Content-Type-Options") == "nosniff");
  CHECK(response.headers.get("Accept-Ranges") == "bytes");
  CHECK(shelf.body(response) == "0123456789");
}

TEST_CASE("what a browser would run or apply goes out as a download of octets") {
  Shelf shelf;
  for (const std::string name : {"a.html", "a.HTM", "a.xhtml", "a.svg", "a.xml", "a.js", "a.mjs", "a.css"}) {
    CAPTURE(name);
    const auto response = shelf.answer(name);
    CHECK(response.headers.get("Content-Type") == "application/octet-stream");
    CHECK(response.headers.get("Content-Disposition").starts_with("attachment; filename="));
    CHECK(response.headers.get("X-Content-Type-Options") == "nosniff");
    CHECK(response.headers.get("Cache-Control") == "no-store");
  }
  for (const std::string name : {"a.json", "a.mp4", "a.glb", "a.txt", "a", "a.webp", "a.html.png"}) {
    CAPTURE(name);
    CHECK_FALSE(shelf.answer(name).headers.get("Content-Disposition").starts_with("attachment"));
  }
}

TEST_CASE("an svg is a picture where a browser shows it as one, and a download everywhere else") {
  Shelf shelf;
  const auto shown = shelf.answer("a.svg", {{"Sec-Fetch-Dest", "image"}});
  CHECK(shown.headers.get("Content-Type") == "image/svg+xml");
  CHECK(shown.headers.get("Content-Disposition") == "filename=\"a.svg\"");
  CHECK(shown.headers.get("X-Content-Type-Options") == "nosniff");
  for (const auto* const destination :
       {"image", "document", "iframe", "embed", "object", "empty", "Image", ""}) {
    CAPTURE(destination);
    const auto response = shelf.answer("a.svg", {{"Sec-Fetch-Dest", destination}});
    CHECK(response.headers.get("Cache-Control") == "no-store");  // one answer never serves for another's
    CHECK(response.headers.get("Vary") == "Sec-Fetch-Dest");
    CHECK(response.headers.get("Content-Disposition").starts_with("attachment") ==
          (destination != std::string_view("image")));
  }
  const auto page = shelf.answer("a.html", {{"Sec-Fetch-Dest", "image"}});
  CHECK(page.headers.get("Content-Type") == "application/octet-stream");
}

TEST_CASE("types that run as script are known whatever parameters they have") {
  for (const std::string type :
       {"text/html", "text/html; charset=utf-8", "text/css", "text/javascript", "application/javascript",
        "application/ecmascript", "image/svg+xml", "application/xml", "text/xml", "application/xhtml+xml",
        "message/rfc822", "application/atom+xml;x=y"}) {
    CAPTURE(type);
    CHECK(is_active_type(type));
  }
  for (const std::string type : {"image/png", "application/json", "text/plain", "video/mp4", ""}) {
    CAPTURE(type);
    CHECK_FALSE(is_active_type(type));
  }
}

TEST_CASE("a name outside ASCII comes in the second form, and quotes are escaped in the first") {
  Shelf shelf;
  CHECK(shelf.answer("Kätzchen.png").headers.get("Content-Disposition") ==
        "filename=\"K__tzchen.png\"; filename*=UTF-8''K%C3%A4tzchen.png");
  CHECK(shelf.answer("a\"b\\c.png").headers.get("Content-Disposition") == R"(filename="a\"b\\c.png")");
  const auto response = shelf.answer("a\r\nSet-Cookie: x=1.png");
  CHECK_FALSE(response.headers.contains("Set-Cookie"));
  CHECK(response.headers.get("Content-Disposition").find('\n') == std::string_view::npos);
}

TEST_CASE("one range is answered 206 with its part, one beyond the end 416") {
  Shelf shelf;
  auto response = shelf.answer("a.mp4", {{"Range", "bytes=-3"}});
  CHECK(response.status == 206);
  CHECK(response.headers.get("Content-Range") == "bytes 7-9/10");
  CHECK(shelf.body(response) == "789");
  response = shelf.answer("a.mp4", {{"Range", "bytes=10-20"}});
  CHECK(response.status == 416);
  CHECK(response.headers.get("Content-Range") == "bytes */10");
  CHECK(shelf.body(response).empty());
  response = shelf.answer("a.mp4", {{"Range", "bytes=0-1,3-4"}});
  CHECK(response.status == 200);
}

TEST_CASE("the same file again is 304 without a body, and another file under the name is not") {
  Shelf shelf;
  const auto first = shelf.answer("a.png");
  const std::string etag(first.headers.get("ETag"));
  auto again = shelf.answer("a.png", {{"If-None-Match", etag}});
  CHECK(again.status == 304);
  CHECK(again.headers.get("ETag") == etag);
  CHECK(shelf.body(again).empty());
  CHECK(shelf.answer("a.png", {{"If-Modified-Since", first.headers.get("Last-Modified")}}).status == 304);
  auto part = shelf.answer("a.png", {{"Range", "bytes=0-1"}, {"If-Range", etag}});
  CHECK(part.status == 206);
  files::write_text(shelf.temp / "data/new", "abcdefghij");
  std::filesystem::rename(shelf.temp / "data/new", shelf.temp / "data/file");
  CHECK(shelf.answer("a.png", {{"If-None-Match", etag}}).status == 200);
  part = shelf.answer("a.png", {{"Range", "bytes=0-1"}, {"If-Range", etag}});
  CHECK(part.status == 200);
}

}  // namespace
}  // namespace atelier::gateway
