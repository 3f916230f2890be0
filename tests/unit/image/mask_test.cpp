// SPDX-License-Identifier: MIT
#include "image/mask.hpp"

#include <doctest/doctest.h>

#include "image/decode.hpp"
#include "image/encode.hpp"
#include "samples.hpp"

namespace atelier::image {
namespace {

std::string picture(std::uint32_t channels, std::vector<std::uint8_t> samples,
                    std::vector<PngText> texts = {}) {
  return encode_png(view(Picture8{2, 1, 1, channels, std::move(samples)}), texts).value();
}

TEST_CASE("the mask's alpha replaces the picture's own, whose colours and texts stay") {
  const std::string original =
      picture(4, {1, 2, 3, 9, 4, 5, 6, 255}, {{"prompt", "{}"}, {"workflow", "\xc3\xa4"}});
  const std::string made = with_alpha_of(original, picture(4, {0, 0, 0, 17, 0, 0, 0, 200})).value();
  CHECK(decode_first(made)->samples == std::vector<std::uint8_t>{1, 2, 3, 17, 4, 5, 6, 200});
  const auto texts = read_png_texts(made);
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].key == "prompt");
  CHECK(texts[1].text == "\xc3\xa4");
}

TEST_CASE("a mask without alpha makes the picture opaque") {
  const std::string made =
      with_alpha_of(picture(3, {1, 2, 3, 4, 5, 6}), picture(3, {7, 7, 7, 7, 7, 7})).value();
  CHECK(decode_first(made)->samples == std::vector<std::uint8_t>{1, 2, 3, 255, 4, 5, 6, 255});
}

TEST_CASE("a mask of another size and what is no picture are refused") {
  const std::string good = picture(3, {1, 2, 3, 4, 5, 6});
  const std::string wide = encode_png(view(Picture8{1, 1, 1, 3, {1, 2, 3}})).value();
  CHECK(with_alpha_of(good, wide).error().code == Errc::bad_request);
  CHECK(with_alpha_of(good, "no picture").error().code == Errc::unsupported);
  CHECK(with_alpha_of("no picture", good).error().code == Errc::unsupported);
}

TEST_CASE("a palette mask gives its transparency, a grey picture its colours, a JPEG no texts") {
  const std::string grey = samples::from_hex(samples::kGreyAlphaPng);  // (200, 0), (100, 255)
  const std::string made = with_alpha_of(grey, picture(4, {0, 0, 0, 1, 0, 0, 0, 2})).value();
  CHECK(decode_first(made)->samples == std::vector<std::uint8_t>{200, 200, 200, 1, 100, 100, 100, 2});
  const std::string opaque = with_alpha_of(grey, samples::from_hex(samples::kPalettePng)).value();
  CHECK(decode_first(opaque)->samples == std::vector<std::uint8_t>{200, 200, 200, 255, 100, 100, 100, 255});
  Picture8 flat{8, 8, 1, 3, std::vector<std::uint8_t>(8 * 8 * 3, 90)};
  const std::string jpeg = encode_jpeg(view(flat), 90).value();
  CHECK(read_png_texts(with_alpha_of(jpeg, encode_png(view(flat)).value()).value()).empty());
}

TEST_CASE("a picture or mask that claims more than 100 million pixels is refused before it is decoded") {
  const std::string good = picture(3, {1, 2, 3, 4, 5, 6});
  // The head of a PNG of 65,535 x 65,535 pixels, whose checksum is right, and nothing behind it.
  const std::string bomb = samples::from_hex(
      "89504e470d0a1a0a0000000d494844520000ffff0000ffff080200000039674e070000000949444154789c63000000010001"
      "5eff7df90000000049454e44ae426082");
  CHECK(with_alpha_of(good, bomb).error().code == Errc::too_large);
  CHECK(with_alpha_of(bomb, good).error().code == Errc::too_large);
}

TEST_CASE("a mask or picture cut at any byte does no harm") {
  const std::string good = picture(4, {1, 2, 3, 4, 5, 6, 7, 8}, {{"prompt", "{}"}});
  for (std::size_t length = 0; length + 12 < good.size(); length += 3) {
    CHECK(!with_alpha_of(good, good.substr(0, length)));
    CHECK(!with_alpha_of(good.substr(0, length), good));
  }
}

}  // namespace
}  // namespace atelier::image
