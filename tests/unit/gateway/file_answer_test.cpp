// SPDX-License-Identifier: MIT
#include "gateway/participant/file_answer.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "gateway/static/static_files.hpp"

namespace atelier::gateway {
namespace {

/// A folder with one file of these bytes.
struct OneFile {
  explicit OneFile(std::string_view bytes) {
    std::string name = (std::filesystem::temp_directory_path() / "atelier-answer-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
    std::ofstream(folder + "/file", std::ios::binary) << bytes;
  }
  ~OneFile() { std::filesystem::remove_all(folder); }
  net::Response answer(std::string_view name,
                       std::initializer_list<net::HeaderList::Field> headers = {}) const {
    net::Request request;
    request.headers = net::HeaderList(headers);
    return file_answer(request, files::Directory::open_root(folder).value().open_file("file").value(), name);
  }
  std::string folder;
};

TEST_CASE("a picture is shown in place, under its own name") {
  const OneFile file("12345");
  const net::Response answer = file.answer("cat.png");
  CHECK(answer.status == 200);
  CHECK(answer.headers.get("Content-Type") == "image/png");
  CHECK(answer.headers.get("Content-Disposition") == "filename=\"cat.png\"");
  CHECK(answer.headers.get("X-Content-Type-Options") == "nosniff");
  CHECK(std::get<net::FileBody>(answer.body).length == 5);
}

TEST_CASE("what a browser would run is a download of octets") {
  const OneFile file("<script>");
  for (const char* name : {"a.html", "a.htm", "a.svg", "a.xml", "a.js", "a.mjs", "a.css", "a.xhtml"}) {
    const net::Response answer = file.answer(name);
    CHECK_MESSAGE(answer.headers.get("Content-Type") == "application/octet-stream", name);
    CHECK_MESSAGE(answer.headers.get("Content-Disposition").starts_with("attachment;"), name);
  }
}

TEST_CASE("names of any script and with quotes survive") {
  const OneFile file("x");
  CHECK(file.answer("ü\".png").headers.get("Content-Disposition") ==
        "filename=\"__\\\".png\"; filename*=UTF-8''%C3%BC%22.png");
}

TEST_CASE("ranges and validators: 206, 416, 304") {
  const OneFile file("0123456789");
  const net::Response part = file.answer("v.mp4", {{"Range", "bytes=2-4"}});
  CHECK(part.status == 206);
  CHECK(part.headers.get("Content-Range") == "bytes 2-4/10");
  CHECK(std::get<net::FileBody>(part.body).offset == 2);
  CHECK(std::get<net::FileBody>(part.body).length == 3);
  CHECK(file.answer("v.mp4", {{"Range", "bytes=20-"}}).status == 416);
  const std::string etag(part.headers.get("ETag"));
  CHECK(file.answer("v.mp4", {{"If-None-Match", etag}}).status == 304);
  CHECK(file.answer("v.mp4", {{"If-None-Match", "\"other\""}}).status == 200);
}

TEST_CASE("names with a hash are told from plain ones, and codings by their weight") {
  CHECK(has_hashed_name("assets/index-B2rHQ9Sn.js"));
  CHECK(!has_hashed_name("assets/settings.js"));
  CHECK(!has_hashed_name("assets/some-settings.js"));
  CHECK(!has_hashed_name("scripts/app-B2rHQ9Sn.js"));
  CHECK(accepts_coding("gzip, br", "br"));
  CHECK(accepts_coding("GZIP;q=0.5", "gzip"));
  CHECK(!accepts_coding("gzip;q=0, br", "gzip"));
  CHECK(!accepts_coding("", "gzip"));
}

}  // namespace
}  // namespace atelier::gateway
