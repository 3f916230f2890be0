// SPDX-License-Identifier: MIT
// Videos written and read again by the ffmpeg libraries of this machine.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "image/video.hpp"

using atelier::Errc;
using atelier::Result;
namespace image = atelier::image;
using image::Picture8;
using image::VideoCodec;
using image::VideoOptions;

namespace {

constexpr std::uint32_t kWidth = 80, kHeight = 64, kFrames = 5;

// Grey, lighter from frame to frame.
std::optional<Picture8> grey(std::uint32_t frame) {
  Picture8 picture{kWidth, kHeight, 1, 3, {}};
  picture.samples.assign(picture.frame_length(), static_cast<std::uint8_t>(40 + 30 * frame));
  return picture;
}

std::string video_of(VideoCodec codec, std::span<const image::PngText> texts = {}) {
  VideoOptions options;
  options.codec = codec;
  options.rate = image::rate_in_thousandths(23.976);
  auto bytes = image::encode_video(kFrames, grey, texts, options);
  REQUIRE_MESSAGE(bytes.has_value(), bytes.error().what);
  return *bytes;
}

void check_frames(std::string_view bytes) {
  const auto facts = image::read_video_facts(bytes);
  REQUIRE_MESSAGE(facts.has_value(), facts.error().what);
  CHECK(facts->width == kWidth);
  CHECK(facts->height == kHeight);
  CHECK(facts->rate.per_second() == doctest::Approx(23.976).epsilon(0.001));
  const auto video = image::decode_video(bytes, {}, [] { return true; });
  REQUIRE_MESSAGE(video.has_value(), video.error().what);
  REQUIRE(video->frames.frames == kFrames);
  REQUIRE(video->frames.samples.size() == video->frames.frame_length() * kFrames);
  for (std::uint32_t frame = 0; frame < kFrames; ++frame) {
    CAPTURE(frame);
    const float expected = static_cast<float>(40 + 30 * frame) / 255.0F;
    const float found = video->frames.samples[frame * video->frames.frame_length() + 999];
    CHECK(std::abs(found - expected) < 0.02F);
  }
}

Result<image::DecodedVideo> decode(std::string_view bytes) {
  return image::decode_video(bytes, {}, [] { return true; });
}

}  // namespace

TEST_CASE("frames come back from every codec that is written") {
  SUBCASE("h264") { check_frames(video_of(VideoCodec::h264)); }
  SUBCASE("vp9") { check_frames(video_of(VideoCodec::vp9)); }
  SUBCASE("av1") { check_frames(video_of(VideoCodec::av1)); }
}

TEST_CASE("a video keeps its texts when it is put into a new file, and new ones win") {
  const std::string first = video_of(
      VideoCodec::h264, std::vector<image::PngText>{{"prompt", "{\"old\": 1}"}, {"more", "\"kept\""}});
  CHECK(first.find("{\"old\": 1}") != std::string::npos);
  const auto second =
      image::remux_video(first, std::vector<image::PngText>{{"prompt", "{\"new\": 2}"}, {"workflow", "{}"}});
  REQUIRE_MESSAGE(second.has_value(), second.error().what);
  CHECK(second->find("{\"old\": 1}") == std::string::npos);
  CHECK(second->find("{\"new\": 2}") != std::string::npos);
  CHECK(second->find("\"kept\"") != std::string::npos);
  check_frames(*second);
}

TEST_CASE("a rate is rounded to thousandths, half to even, and at least one of them") {
  const auto is = [](double per_second, std::int64_t numerator, std::int64_t denominator) {
    const image::Rate rate = image::rate_in_thousandths(per_second);
    return rate.numerator == numerator && rate.denominator == denominator;
  };
  CHECK(is(24, 24, 1));
  CHECK(is(23.976, 2997, 125));
  CHECK(is(0.0625, 31, 500));  // 62.5 thousandths: 62
  CHECK(is(0, 1, 1000));
}

TEST_CASE("what cannot be encoded is refused") {
  const auto odd = [](std::uint32_t) {
    Picture8 picture{33, 33, 1, 3, {}};
    picture.samples.resize(picture.frame_length());
    return std::optional(picture);
  };
  CHECK(image::encode_video(1, odd, {}, {}).error().code == Errc::unsupported);
  CHECK(image::encode_video(0, grey, {}, {}).error().code == Errc::bad_request);
  const auto growing = [](std::uint32_t frame) {
    Picture8 picture{64 + 2 * frame, 64, 1, 3, {}};
    picture.samples.resize(picture.frame_length());
    return std::optional(picture);
  };
  CHECK(image::encode_video(2, growing, {}, {}).error().code == Errc::bad_request);
}

TEST_CASE("encoding and decoding stop when they are told to") {
  const auto stopping = [](std::uint32_t frame) { return frame < 3 ? grey(frame) : std::nullopt; };
  CHECK(image::encode_video(kFrames, stopping, {}, {}).error().code == Errc::cancelled);
  int asked = 0;
  const auto decoded = image::decode_video(video_of(VideoCodec::h264), {}, [&asked] { return ++asked < 3; });
  CHECK(decoded.error().code == Errc::cancelled);
  CHECK(asked == 3);
}

TEST_CASE("a video larger than the limit is not decoded to its end") {
  image::VideoLimits limits;
  limits.pixels_max = std::uint64_t{kWidth} * kHeight * 3;
  CHECK(image::decode_video(video_of(VideoCodec::h264), limits, [] { return true; }).error().code ==
        Errc::too_large);
}

TEST_CASE("what is no video, or only names other files, is refused") {
  CHECK(decode("").error().code == Errc::bad_request);
  CHECK(decode(std::string(5000, 'x')).error().code == Errc::bad_request);
  CHECK(decode("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n")
            .error()
            .code == Errc::bad_request);
  CHECK(decode("ffconcat version 1.0\nfile /etc/passwd\n").error().code == Errc::bad_request);
  CHECK(image::remux_video("nothing", {}).error().code == Errc::bad_request);
}

TEST_CASE("no cut through a video harms its reader") {
  const std::string whole = video_of(VideoCodec::vp9);
  for (std::size_t length = 0; length < whole.size(); length += 97) {
    const auto decoded = decode(std::string_view(whole).substr(0, length));
    if (decoded)
      CHECK(decoded->frames.samples.size() == decoded->frames.frame_length() * decoded->frames.frames);
  }
}
