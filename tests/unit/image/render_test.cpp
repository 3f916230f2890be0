// SPDX-License-Identifier: MIT
#include "image/render.hpp"

#include <doctest/doctest.h>

#include "image/decode.hpp"
#include "image/encode.hpp"

namespace atelier::image {
namespace {

/// A 2 x 1 picture: an opaque red pixel and a blue one with alpha 64.
std::string two_pixels() {
  const Picture8 picture{2, 1, 1, 4, {255, 0, 0, 255, 0, 0, 255, 64}};
  return encode_png(view(picture)).value();
}

TEST_CASE("a picture without its alpha, and its alpha alone on black") {
  const Picture8 rgb = decode_first(render(two_pixels(), {RenderForm::png_rgb}).value()).value();
  CHECK(rgb.channels == 3);
  CHECK(rgb.samples == std::vector<std::uint8_t>{255, 0, 0, 0, 0, 255});
  const Picture8 alpha = decode_first(render(two_pixels(), {RenderForm::png_alpha}).value()).value();
  CHECK(alpha.samples == std::vector<std::uint8_t>{0, 0, 0, 255, 0, 0, 0, 64});
}

TEST_CASE("previews are of the format that was asked for") {
  CHECK(recognise(render(two_pixels(), {RenderForm::webp, 90}).value()) == Format::webp);
  CHECK(recognise(render(two_pixels(), {RenderForm::jpeg, 75}).value()) == Format::jpeg);
  CHECK(decode_first(render(two_pixels(), {RenderForm::webp, 90}).value()).value().channels == 4);
  CHECK(decode_first(render(two_pixels(), {RenderForm::webp, 90, true}).value()).value().channels == 3);
}

TEST_CASE("what is no picture is refused") {
  CHECK(render("hello", {}).error().code == Errc::unsupported);
  CHECK(!render(two_pixels().substr(0, 40), {}));
}

TEST_CASE("requests and answers survive the socket, garbage does not") {
  const RenderRequest request{RenderForm::png_alpha, 17, true};
  const auto read = decode_request(encode(request));
  REQUIRE(read);
  CHECK(read->form == RenderForm::png_alpha);
  CHECK(read->quality == 17);
  CHECK(read->drop_alpha);
  for (const std::string& bad : {std::string(), encode(request).substr(1), std::string(8, 'x'),
                                 encode({RenderForm::webp, 0}), encode({static_cast<RenderForm>(9), 50})}) {
    CHECK(!decode_request(bad));
  }
  CHECK(decode_answer(encode_answer({})));
  const auto refused = decode_answer(encode_answer(fail(Errc::too_large, "huge")));
  CHECK(refused.error().code == Errc::too_large);
  CHECK(refused.error().what == "huge");
  CHECK(decode_answer("").error().code == Errc::protocol);
  CHECK(decode_answer("\x7f").error().code == Errc::protocol);
}

}  // namespace
}  // namespace atelier::image
