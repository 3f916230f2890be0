// SPDX-License-Identifier: MIT
#include "image/decode.hpp"

#include <doctest/doctest.h>

#include "image/encode.hpp"
#include "samples.hpp"

using atelier::Errc;
namespace image = atelier::image;

namespace {

using Bytes = std::vector<std::uint8_t>;

image::Picture8 first(std::string_view hex) {
  auto picture = image::decode_first(samples::from_hex(hex));
  REQUIRE_MESSAGE(picture.has_value(), picture.error().what);
  return *picture;
}

image::PictureF all(std::string_view hex) {
  auto picture = image::decode_float(samples::from_hex(hex));
  REQUIRE_MESSAGE(picture.has_value(), picture.error().what);
  return *picture;
}

// The red samples, as the pictures of samples.hpp name their pixels by red: 10 40 70 / 100 130 160.
Bytes reds(const image::Picture8& picture) {
  Bytes out;
  for (std::size_t i = 0; i < picture.samples.size(); i += picture.channels)
    out.push_back(picture.samples[i]);
  return out;
}

}  // namespace

TEST_CASE("formats are known by their first bytes, not by names") {
  CHECK(image::recognise(samples::from_hex(samples::kPalettePng)) == image::Format::png);
  CHECK(image::recognise(samples::from_hex(samples::kJpegCmyk)) == image::Format::jpeg);
  CHECK(image::recognise(samples::from_hex(samples::kGif2Frames)) == image::Format::gif);
  CHECK(image::recognise(samples::from_hex(samples::kWebpLossless)) == image::Format::webp);
  CHECK(image::recognise(samples::from_hex(samples::kTiffOrientation6)) == image::Format::tiff);
  CHECK_FALSE(image::recognise("<svg xmlns='http://www.w3.org/2000/svg'/>"));
  CHECK_FALSE(image::recognise("P6 1 1 255 abc"));
  CHECK_FALSE(image::recognise(""));
}

TEST_CASE("orientation turns and mirrors the samples") {
  const auto turned =
      first(samples::kTiffOrientation6);  // stored rows are the columns of the upright picture
  CHECK(turned.width == 2);
  CHECK(turned.height == 3);
  CHECK(reds(turned) == Bytes{100, 10, 130, 40, 160, 70});
  CHECK(reds(first(samples::kTiffOrientation5)) == Bytes{10, 100, 40, 130, 70, 160});
  CHECK(reds(first(samples::kPngExifOrientation8)) == Bytes{70, 160, 40, 130, 10, 100});
  const auto jpeg = first(samples::kJpegOrientation6);
  CHECK(jpeg.width == 8);
  CHECK(jpeg.height == 16);
  CHECK(jpeg.samples[0] > 240);                            // red is above
  CHECK(jpeg.samples[std::size_t{15} * 8 * 3 + 2] > 240);  // blue below
}

TEST_CASE("a palette PNG counts as one with transparency only for LoadImage's mask") {
  const auto wide = all(samples::kPalettePng);
  CHECK(wide.channels == 4);
  CHECK(wide.samples == std::vector<float>{1, 0, 0, 1, 0, 0, 1, 1});
  CHECK(first(samples::kPalettePng).channels == 3);
}

TEST_CASE("16-bit grey keeps its precision as float and is halved to 8 bits for views") {
  const auto fine = all(samples::kGrey16Png);
  CHECK(fine.channels == 3);
  CHECK(fine.samples ==
        std::vector<float>{0, 0, 0, 32768 / 65535.0F, 32768 / 65535.0F, 32768 / 65535.0F, 1, 1, 1});
  CHECK(reds(first(samples::kGrey16Png)) == Bytes{0, 128, 255});
}

TEST_CASE("grey with alpha becomes RGBA") {
  CHECK(first(samples::kGreyAlphaPng).samples == Bytes{200, 200, 200, 0, 100, 100, 100, 255});
}

TEST_CASE("every frame of a GIF and of a WebP is there") {
  const auto gif = all(samples::kGif2Frames);
  CHECK(gif.frames == 2);
  CHECK(gif.height == 2);
  CHECK(gif.channels == 4);
  CHECK(gif.samples[0] == 1);                       // red
  CHECK(gif.samples[gif.frame_length() + 1] == 1);  // green
  CHECK(first(samples::kGif2Frames).frames == 1);
  const auto webp = all(samples::kWebpAnimated);
  CHECK(webp.frames == 2);
  CHECK(webp.samples[0] == 1 / 255.0F);
  CHECK(webp.samples[webp.frame_length()] == 200 / 255.0F);
}

TEST_CASE("lossless WebP is exact") {
  CHECK(reds(first(samples::kWebpLossless)) == Bytes{10, 40, 70, 100, 130, 160});
  CHECK(all(samples::kWebpLossless).channels == 4);
}

TEST_CASE("CMYK without ink is white") {
  const auto white = first(samples::kJpegCmyk);
  CHECK(white.channels == 3);
  CHECK(white.samples[0] > 250);
}

TEST_CASE("a file above the limit is refused before it is decoded") {
  image::DecodeLimits limits;
  limits.pixels_max = 5;
  const auto refused = image::decode_first(samples::from_hex(samples::kTiffOrientation6), limits);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == Errc::too_large);
  // A header that promises 60000 x 60000 pixels and nothing behind it.
  auto bytes = *image::encode_png(image::FrameView{1, 1, 3, reinterpret_cast<const std::uint8_t*>("abc")});
  const auto bomb = samples::from_hex("89504e470d0a1a0a0000000d494844520000ea600000ea600802000000") +
                    samples::from_hex("0fb0e215") + bytes.substr(33);
  const auto large = image::decode_float(bomb);
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().code == Errc::too_large);
}

TEST_CASE("broken and foreign files are errors, for every cut of a good one") {
  const auto text = image::decode_first("this is a text file");
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == Errc::unsupported);
  const std::string good = samples::from_hex(samples::kWebpLossless);
  for (std::size_t length = 0; length + 1 < good.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(image::decode_first(good.substr(0, length)).has_value());
  }
  const std::string png = samples::from_hex(samples::kGrey16Png);
  CHECK_FALSE(image::decode_first(png.substr(0, png.size() - 20)).has_value());
  // SVG begins like XML: libvips could draw it, we do not ask it to.
  CHECK_FALSE(
      image::decode_first("<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>").has_value());
}
