// SPDX-License-Identifier: MIT
#include "image/encode.hpp"

#include <doctest/doctest.h>

#include "image/decode.hpp"
#include "samples.hpp"

using atelier::Errc;
namespace image = atelier::image;

namespace {

// Gradients, noise and flat areas, so that every row filter is chosen somewhere.
image::Picture8 make_picture(std::uint32_t width, std::uint32_t height, std::uint32_t channels) {
  image::Picture8 picture{width, height, 1, channels, {}};
  std::uint32_t noise = 12345;
  for (std::uint32_t y = 0; y < height; ++y) {
    for (std::uint32_t x = 0; x < width; ++x) {
      for (std::uint32_t c = 0; c < channels; ++c) {
        noise = noise * 1664525 + 1013904223;
        const std::uint32_t value = y < height / 3   ? x * 5 + c
                                    : y < height / 2 ? noise >> 24
                                                     : (x + y) * 3 + c * 50;
        picture.samples.push_back(static_cast<std::uint8_t>(value));
      }
    }
  }
  return picture;
}

image::Picture8 decode(const std::string& bytes) {
  auto picture = image::decode_first(bytes);
  REQUIRE_MESSAGE(picture.has_value(), picture.error().what);
  return *picture;
}

}  // namespace

TEST_CASE("a PNG comes back sample by sample at every compression level") {
  for (const std::uint32_t channels : {3u, 4u}) {
    for (const int level : {0, 1, 4, 9}) {
      const auto picture = make_picture(61, 47, channels);
      const auto bytes = image::encode_png(image::view(picture), {}, level);
      REQUIRE(bytes.has_value());
      const auto back = decode(*bytes);
      CHECK(back.width == 61);
      CHECK(back.channels == channels);
      CHECK(back.samples == picture.samples);
    }
  }
  const auto large = make_picture(700, 500, 4);  // more than one IDAT
  CHECK(decode(*image::encode_png(image::view(large), {}, 1)).samples == large.samples);
  const auto dot = make_picture(1, 1, 3);
  CHECK(decode(*image::encode_png(image::view(dot))).samples == dot.samples);
}

TEST_CASE("texts of a PNG come back in order, Latin-1 as tEXt and others as iTXt") {
  const auto picture = make_picture(4, 4, 3);
  const std::vector<image::PngText> texts{
      {"prompt", R"({"1": {"class_type": "A"}})"}, {"caf\xC3\xA9", "\xC3\xBC"}, {"workflow", "\xE4\xBD\xA0"}};
  const auto bytes = image::encode_png(image::view(picture), texts, 4);
  REQUIRE(bytes.has_value());
  CHECK(bytes->find("tEXtprompt") < bytes->find("IDAT"));
  CHECK(bytes->find("iTXtworkflow") < bytes->find("IDAT"));
  const auto back = image::read_png_texts(*bytes);
  REQUIRE(back.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(back[i].key == texts[i].key);
    CHECK(back[i].text == texts[i].text);
  }
  CHECK(decode(*bytes).samples == picture.samples);
}

TEST_CASE("texts that Pillow wrote are read, compressed or not") {
  const auto texts = image::read_png_texts(samples::from_hex(samples::kPngTexts));
  REQUIRE(texts.size() == 3);
  CHECK(texts[0].text == R"({"1": {}})");
  CHECK(texts[1].text == std::string(100, 'x'));
  CHECK(texts[2].key == "greeting");
  CHECK(texts[2].text == "gr\xC3\xBC\xC3\x9F \xE4\xBD\xA0");
}

TEST_CASE("reading texts survives every cut of the file") {
  const std::string whole = samples::from_hex(samples::kPngTexts);
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    CHECK(image::read_png_texts(whole.substr(0, length)).size() <= 3);
  }
  CHECK(image::read_png_texts("no picture").empty());
}

TEST_CASE("a PNG of nothing or with a bad key is refused") {
  const auto picture = make_picture(2, 2, 3);
  CHECK(image::encode_png(image::FrameView{0, 2, 3, nullptr}).error().code == Errc::bad_request);
  CHECK(image::encode_png(image::FrameView{2, 2, 1, picture.samples.data()}).error().code ==
        Errc::bad_request);
  for (const std::string& key :
       {std::string(), std::string(80, 'k'), std::string("\xE4\xBD\xA0"), std::string("a\0b", 3)}) {
    const std::vector<image::PngText> texts{{key, "x"}};
    CHECK(image::encode_png(image::view(picture), texts).error().code == Errc::bad_request);
  }
}

TEST_CASE("JPEG and WebP keep a flat colour nearly, and JPEG drops the alpha without blending") {
  image::Picture8 flat{32, 32, 1, 4, {}};
  for (int i = 0; i < 32 * 32; ++i) flat.samples.insert(flat.samples.end(), {200, 100, 50, 0});
  const auto jpeg = image::encode_jpeg(image::view(flat), 90);
  REQUIRE(jpeg.has_value());
  const auto shown = decode(*jpeg);
  CHECK(shown.channels == 3);
  CHECK(std::abs(shown.samples[0] - 200) < 4);
  CHECK(std::abs(shown.samples[1] - 100) < 4);
  for (std::size_t i = 3; i < flat.samples.size(); i += 4) flat.samples[i] = 255;
  const auto webp = image::encode_webp(image::view(flat), 75);
  REQUIRE(webp.has_value());
  CHECK(std::abs(decode(*webp).samples[2] - 50) < 6);
  const auto wild = image::encode_webp(image::view(flat), 100000);  // quality is clamped
  CHECK(wild.has_value());
}
