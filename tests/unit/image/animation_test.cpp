// SPDX-License-Identifier: MIT
// What animated files hold, read by libvips and by the structure of their chunks. Beside ComfyUI's own files:
// tests/integration/golden_animations.py.
#include <doctest/doctest.h>

#include <vector>

#include "image/animation.hpp"
#include "image/decode.hpp"

using atelier::Errc;
namespace image = atelier::image;
using image::Picture8;
using image::PngText;

namespace {

Picture8 frames_of(std::vector<std::uint8_t> levels, std::uint32_t channels = 3) {
  Picture8 frames{6, 4, static_cast<std::uint32_t>(levels.size()), channels, {}};
  for (const std::uint8_t level : levels)
    frames.samples.insert(frames.samples.end(), frames.frame_length(), level);
  return frames;
}

bool always() { return true; }

std::size_t count(std::string_view bytes, std::string_view word) {
  std::size_t found = 0;
  for (auto at = bytes.find(word); at != std::string_view::npos; at = bytes.find(word, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("an animated PNG numbers its frames and keeps texts behind them") {
  const std::vector<PngText> texts{{"prompt", "{}"}, {"workflow", "{\"id\": 1}"}};
  const auto bytes = image::encode_animated_png(frames_of({10, 20, 30}), 40, texts, 4, always);
  REQUIRE(bytes.has_value());
  CHECK(count(*bytes, "fcTL") == 3);
  CHECK(count(*bytes, "fdAT") == 2);
  CHECK(bytes->find("acTL") < bytes->find("IDAT"));
  CHECK(bytes->find(std::string("comfworkflow\0{\"id\": 1}", 22)) > bytes->rfind("fdAT"));
  const auto first = image::decode_first(*bytes);
  REQUIRE(first.has_value());
  CHECK(first->samples == std::vector<std::uint8_t>(72, 10));
}

TEST_CASE("equal frames are one that is shown for longer, and only one is a still picture") {
  const auto merged = image::encode_animated_png(frames_of({10, 10, 20}), 40, {}, 4, always);
  REQUIRE(merged.has_value());
  CHECK(count(*merged, "fcTL") == 2);
  const auto still = image::encode_animated_png(frames_of({10, 10}), 40, {}, 4, always);
  REQUIRE(still.has_value());
  CHECK(count(*still, "acTL") == 0);
}

TEST_CASE("a lossless animated WebP gives every sample back") {
  const auto bytes = image::encode_animated_webp(frames_of({0, 100, 255}), 40, {}, {}, always);
  REQUIRE(bytes.has_value());
  const auto back = image::decode_float(*bytes);
  REQUIRE(back.has_value());
  REQUIRE(back->frames == 3);
  const std::size_t middle = back->frame_length();
  CHECK(back->samples[middle] == 100 / 255.0F);
  CHECK(back->samples.back() == 1.0F);
}

TEST_CASE("a WebP names its texts in EXIF tags") {
  const std::vector<PngText> texts{{"prompt", "{}"}, {"workflow", "{\"id\": 1}"}};
  const auto bytes = image::encode_animated_webp(frames_of({7}), 40, texts, {}, always);
  REQUIRE(bytes.has_value());
  CHECK(bytes->find("workflow:{\"id\": 1}") != std::string::npos);
  CHECK(bytes->find("prompt:{}") != std::string::npos);
}

TEST_CASE("an animation stops at the frame where it is told to") {
  int asked = 0;
  const auto second = [&asked] { return ++asked < 2; };
  const auto frames = frames_of({1, 2, 3});
  CHECK(image::encode_animated_png(frames, 40, {}, 4, second).error().code == Errc::cancelled);
  CHECK(asked == 2);
  asked = 0;
  CHECK(image::encode_animated_webp(frames, 40, {}, {}, second).error().code == Errc::cancelled);
  CHECK(asked == 2);
}

TEST_CASE("what makes no animation is refused") {
  CHECK(image::encode_animated_png(frames_of({}), 40, {}, 4, always).error().code == Errc::bad_request);
  CHECK(image::encode_animated_png(frames_of({1}, 1), 40, {}, 4, always).error().code == Errc::bad_request);
  CHECK(image::encode_animated_webp(frames_of({}), 40, {}, {}, always).error().code == Errc::bad_request);
  const std::vector<PngText> foreign{{"prompt", "\xE6\x97\xA5"}};
  CHECK(image::encode_animated_png(frames_of({1}), 40, foreign, 4, always).error().code == Errc::bad_request);
}
