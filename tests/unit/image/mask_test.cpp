// SPDX-License-Identifier: MIT
#include "image/mask.hpp"

#include <doctest/doctest.h>

#include "image/decode.hpp"
#include "image/encode.hpp"

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

}  // namespace
}  // namespace atelier::image
