// SPDX-License-Identifier: MIT
#include "rehearsal/resize.hpp"

#include <doctest/doctest.h>
#include <zlib.h>

#include "fixtures.hpp"
#include "golden.hpp"

using atelier::rehearsal::center_crop;
using atelier::rehearsal::resize;
using atelier::rehearsal::Scaling;
using atelier::rehearsal::Tensor;
using atelier::rehearsal::to_byte;
using fixtures::FakeWatch;
using fixtures::pattern;

namespace {

Tensor scaled(const Tensor& source, std::uint32_t width, std::uint32_t height, Scaling scaling) {
  FakeWatch watch;
  auto result = resize(source, width, height, scaling, watch);
  REQUIRE(result.has_value());
  CHECK(result->width == width);
  CHECK(result->height == height);
  return *result;
}

std::vector<float> greens(const Tensor& tensor) {
  std::vector<float> out;
  for (std::size_t i = 1; i < tensor.samples.size(); i += 3) out.push_back(tensor.samples[i]);
  return out;
}

void check_near(const Tensor& tensor, const std::vector<float>& expected, float tolerance) {
  const auto got = greens(tensor);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(std::abs(got[i] - expected[i]) <= tolerance);
  }
}

void check_bytes(const Tensor& tensor, const std::vector<std::uint8_t>& expected) {
  const auto got = greens(tensor);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(to_byte(got[i]) == expected[i]);
}

std::uint32_t crc_of(const Tensor& tensor) {
  std::vector<std::uint8_t> bytes;
  for (const float sample : tensor.samples) bytes.push_back(to_byte(sample));
  return static_cast<std::uint32_t>(crc32(0, bytes.data(), static_cast<uInt>(bytes.size())));
}

}  // namespace

TEST_CASE("the five filters agree with PyTorch and Pillow when a picture shrinks") {
  const Tensor source = pattern(7, 5);
  check_near(scaled(source, 4, 3, Scaling::nearest_exact), golden::kNearestSmaller, 0);
  check_near(scaled(source, 4, 3, Scaling::bilinear), golden::kBilinearSmaller, 1e-6F);
  check_near(scaled(source, 4, 3, Scaling::area), golden::kAreaSmaller, 1e-6F);
  check_near(scaled(source, 4, 3, Scaling::bicubic), golden::kBicubicSmaller, 1e-6F);
  check_bytes(scaled(source, 4, 3, Scaling::lanczos), golden::kLanczosSmaller);
}

TEST_CASE("the five filters agree with PyTorch and Pillow when a picture grows") {
  const Tensor source = pattern(5, 7);
  check_near(scaled(source, 6, 12, Scaling::nearest_exact), golden::kNearestLarger, 0);
  check_near(scaled(source, 6, 12, Scaling::bilinear), golden::kBilinearLarger, 1e-6F);
  check_near(scaled(source, 6, 12, Scaling::area), golden::kAreaLarger, 1e-6F);
  check_near(scaled(source, 6, 12, Scaling::bicubic), golden::kBicubicLarger, 1e-6F);
  check_bytes(scaled(source, 6, 12, Scaling::lanczos), golden::kLanczosLarger);
}

TEST_CASE("nearest-exact and lanczos are the same bits in whole pictures") {
  for (const auto& sum : golden::kSums) {
    CAPTURE(sum.width);
    const Tensor source = pattern(sum.old_width, sum.old_height);
    CHECK(crc_of(scaled(source, sum.width, sum.height, Scaling::nearest_exact)) == sum.nearest);
    CHECK(crc_of(scaled(source, sum.width, sum.height, Scaling::lanczos)) == sum.lanczos);
  }
}

TEST_CASE("every filter leaves a flat picture flat and a frame apart from its neighbours") {
  for (const auto scaling :
       {Scaling::nearest_exact, Scaling::bilinear, Scaling::area, Scaling::bicubic, Scaling::lanczos}) {
    Tensor flat{9, 9, 2, 3, {}};
    flat.samples.assign(flat.frame_length(), 0.2F);
    flat.samples.insert(flat.samples.end(), flat.frame_length(), 0.8F);
    const Tensor result = scaled(flat, 5, 14, scaling);
    for (std::size_t i = 0; i < result.frame_length(); ++i) {
      REQUIRE(std::abs(result.samples[i] - 0.2F) < 1e-5F);
      REQUIRE(std::abs(result.samples[i + result.frame_length()] - 0.8F) < 1e-5F);
    }
  }
}

TEST_CASE("scaling stops between rows when it is told to") {
  for (const auto scaling : {Scaling::bilinear, Scaling::area, Scaling::lanczos}) {
    FakeWatch watch(3);
    const auto result = resize(pattern(20, 20), 30, 30, scaling, watch);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().interrupted);
    CHECK(watch.calls == 3);
    CHECK(watch.last_total == 30);
  }
}

TEST_CASE("a result above the limit and a source without pixels are failures, not crashes") {
  FakeWatch watch;
  const auto large = resize(pattern(2, 2), 16384, 16384, Scaling::bilinear, watch);
  REQUIRE_FALSE(large.has_value());
  CHECK(large.error().type == "RuntimeError");
  CHECK_FALSE(resize(Tensor{0, 5, 1, 3, {}}, 4, 4, Scaling::area, watch).has_value());
}

TEST_CASE("lanczos makes black pixels of none, where a centre crop leaves none") {
  const Tensor nothing = center_crop(pattern(16, 16), 3, 200);
  CHECK(nothing.width == 0);
  CHECK(scaled(nothing, 3, 200, Scaling::lanczos).samples == std::vector<float>(std::size_t{3} * 200 * 3));
  FakeWatch watch;
  for (const auto scaling : {Scaling::nearest_exact, Scaling::bilinear, Scaling::area, Scaling::bicubic})
    CHECK_FALSE(resize(nothing, 3, 200, scaling, watch).has_value());
}

TEST_CASE("the centre crop cuts what Python's rounding cuts") {
  // 7 x 4 to 1:1: (7 - 4) / 2 = 1.5, half to even: 2 on each side, 3 remain.
  const Tensor narrow = center_crop(pattern(7, 4), 10, 10);
  CHECK(narrow.width == 3);
  CHECK(narrow.height == 4);
  CHECK(narrow.samples[0] == pattern(7, 4).samples[2 * 3]);
  const Tensor flat = center_crop(pattern(4, 9), 8, 4);  // 2 rows of 9 remain: (9 - 2) / 2 = 3.5, to even: 4
  CHECK(flat.width == 4);
  CHECK(flat.height == 1);
  CHECK(center_crop(pattern(6, 4), 3, 2).width == 6);
}

TEST_CASE("samples become bytes as numpy does it: clipped, the fraction dropped") {
  CHECK(to_byte(0.999F) == 254);
  CHECK(to_byte(1.0F) == 255);
  CHECK(to_byte(7.5F) == 255);
  CHECK(to_byte(-0.1F) == 0);
  CHECK(to_byte(0.5F) == 127);
  CHECK(to_byte(std::numeric_limits<float>::quiet_NaN()) == 0);
  for (int i = 0; i < 256; ++i)
    CHECK(to_byte(static_cast<float>(i) / 255.0F) == i);  // loading and saving is exact
}
