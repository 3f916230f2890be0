// SPDX-License-Identifier: MIT
#include "rehearsal/uploads.hpp"

#include <doctest/doctest.h>

#include "fixtures.hpp"
#include "image/decode.hpp"
#include "image/encode.hpp"

using atelier::Errc;
using atelier::comfy::ContentKind;
using atelier::comfy::FileType;
using atelier::rehearsal::store_image;
using atelier::rehearsal::store_mask;
using atelier::rehearsal::UploadForm;
using fixtures::TempFolders;
namespace image = atelier::image;

namespace {

UploadForm form(const std::string& name, const std::string& bytes,
                std::map<std::string, std::string, std::less<>> fields = {}) {
  UploadForm sent;
  sent.has_file = true;
  sent.filename = name;
  sent.bytes = bytes;
  sent.fields = std::move(fields);
  return sent;
}

}  // namespace

TEST_CASE("a taken name is kept for the same bytes and numbered for others") {
  TempFolders home;
  CHECK(store_image(home.folders, form("a.png", "one"))->name == "a.png");
  CHECK(store_image(home.folders, form("a.png", "one"))->name == "a.png");
  CHECK(store_image(home.folders, form("a.png", "two"))->name == "a (1).png");
  CHECK(store_image(home.folders, form("a.png", "three"))->name == "a (2).png");
  CHECK(store_image(home.folders, form("a.png", "two"))->name == "a (1).png");
  CHECK(store_image(home.folders, form("a.png", "four", {{"overwrite", "true"}}))->name == "a.png");
  CHECK(home.read("input/a.png") == "four");
}

TEST_CASE("subfolders are made and told back as sent") {
  TempFolders home;
  const auto stored =
      store_image(home.folders, form("b.png", "x", {{"subfolder", "deep/er"}, {"type", "temp"}}));
  REQUIRE(stored.has_value());
  CHECK(stored->json() == R"({"name":"b.png","subfolder":"deep/er","type":"temp"})");
  CHECK(home.read("temp/deep/er/b.png") == "x");
}

TEST_CASE("names that leave the folder and unknown types are refused") {
  TempFolders home;
  const std::vector<UploadForm> bad{form("../a.png", "x"),
                                    form("a.png", "x", {{"subfolder", "../../out"}}),
                                    form("a.png", "x", {{"subfolder", "/etc"}}),
                                    form("a.png", "x", {{"type", "nonsense"}}),
                                    form("", "x"),
                                    form(".", "x"),
                                    form(std::string("a\0b", 3), "x"),
                                    UploadForm{}};
  for (const auto& sent : bad) {
    CAPTURE(sent.filename);
    const auto stored = store_image(home.folders, sent);
    REQUIRE_FALSE(stored.has_value());
    CHECK(stored.error().code == Errc::bad_request);
  }
}

TEST_CASE("a mask gives its alpha to the original, whose texts stay") {
  TempFolders home;
  const std::vector<std::uint8_t> colours{1, 2, 3, 4, 5, 6}, alpha{0, 0, 0, 10, 0, 0, 0, 200};
  const std::vector<image::PngText> texts{{"workflow", "{}"}};
  home.write("output/o.png", *image::encode_png(image::FrameView{2, 1, 3, colours.data()}, texts));
  const std::string mask = *image::encode_png(image::FrameView{2, 1, 4, alpha.data()});
  const auto stored =
      store_mask(home.folders, form("m.png", mask, {{"original_ref", R"({"filename":"o.png"})"}}));
  REQUIRE_MESSAGE(stored.has_value(), stored.error().what);
  const std::string written = home.read("input/m.png");
  CHECK(image::decode_first(written)->samples == std::vector<std::uint8_t>{1, 2, 3, 10, 4, 5, 6, 200});
  REQUIRE(image::read_png_texts(written).size() == 1);
  CHECK(image::read_png_texts(written)[0].key == "workflow");
}

TEST_CASE(
    "a mask without its original is answered but not written, one that leaves the folder is forbidden") {
  TempFolders home;
  const auto gone =
      store_mask(home.folders, form("m.png", "x", {{"original_ref", R"({"filename":"gone.png"})"}}));
  REQUIRE(gone.has_value());
  CHECK_FALSE(home.folders.exists(FileType::input, "m.png"));
  const auto outside = store_mask(
      home.folders, form("m.png", "x", {{"original_ref", R"({"filename":"a","subfolder":"../.."})"}}));
  CHECK(outside.error().code == Errc::forbidden);
  CHECK(store_mask(home.folders, form("m.png", "x", {{"original_ref", R"({"filename":"../a"})"}}))
            .error()
            .code == Errc::bad_request);
  CHECK(store_mask(home.folders, form("m.png", "x")).error().code == Errc::bad_request);
}

TEST_CASE("lists hold the visible files of a kind, sorted") {
  TempFolders home;
  for (const char* name : {"b.png", "a.JPG", "c.txt", ".hidden.png", "sub/d.png"})
    home.write(std::string("input/") + name, "x");
  CHECK(home.folders.list(FileType::input, ContentKind::image) == std::vector<std::string>{"a.JPG", "b.png"});
  CHECK(home.folders.list(FileType::input, ContentKind::image, "sub") ==
        std::vector<std::string>{"sub/d.png"});
  CHECK(home.folders.list(FileType::input, ContentKind::image, "..").empty());
}
