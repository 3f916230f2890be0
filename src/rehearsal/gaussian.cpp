// SPDX-License-Identifier: MIT
#include "rehearsal/gaussian.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace atelier::rehearsal {
namespace {

std::vector<double> make_weights(std::uint32_t radius, double sigma) {
  std::vector<double> weights;
  double sum = 0;
  for (std::uint32_t i = 0; i <= 2 * radius; ++i) {
    const double place = (static_cast<double>(i) - radius) / radius;
    weights.push_back(std::exp(-place * place / (2 * sigma * sigma)));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

// Position i - radius of a line of `size`, mirrored without its edge; radius < size.
std::size_t mirrored(std::size_t i, std::size_t radius, std::size_t size) {
  if (i < radius) return radius - i;
  const std::size_t place = i - radius;
  return place < size ? place : 2 * (size - 1) - place;
}

// One row of doubles along x.
void blur_row(const float* from, double* to, const Tensor& source, const std::vector<double>& weights) {
  const std::size_t radius = weights.size() / 2, channels = source.channels;
  for (std::size_t x = 0; x < source.width; ++x) {
    double* pixel = to + x * channels;
    std::fill_n(pixel, channels, 0.0);
    for (std::size_t t = 0; t < weights.size(); ++t) {
      const float* sample = from + mirrored(x + t, radius, source.width) * channels;
      for (std::size_t c = 0; c < channels; ++c) pixel[c] += sample[c] * weights[t];
    }
  }
}

}  // namespace

NodeResult<Tensor> gaussian_blur(const Tensor& source, std::uint32_t radius, double sigma, Watch& watch) {
  if (radius == 0) return source;
  if (radius >= source.width || radius >= source.height) {
    return node_failure("RuntimeError", fmt::format("a radius of {} is too large for pictures of {} x {}: it "
                                                    "must be smaller than both sides",
                                                    radius, source.width, source.height));
  }
  const std::vector<double> weights = make_weights(radius, sigma);
  Tensor result = source;
  const std::size_t length = source.row_length();
  std::vector<double> rows(length * source.height), sums(length);
  const std::uint64_t total = std::uint64_t{source.frames} * source.height * 2;
  std::uint64_t done = 0;
  for (std::size_t frame = 0; frame < source.frames; ++frame) {
    const float* from = source.samples.data() + frame * source.frame_length();
    float* to = result.samples.data() + frame * source.frame_length();
    for (std::size_t y = 0; y < source.height; ++y) {
      blur_row(from + y * length, rows.data() + y * length, source, weights);
      if (!watch.advance(++done, total)) return interrupted();
    }
    for (std::size_t y = 0; y < source.height; ++y) {
      std::ranges::fill(sums, 0.0);
      for (std::size_t t = 0; t < weights.size(); ++t) {
        const double* row = rows.data() + mirrored(y + t, radius, source.height) * length;
        for (std::size_t i = 0; i < length; ++i) sums[i] += row[i] * weights[t];
      }
      std::ranges::transform(sums, to + y * length, [](double sum) { return static_cast<float>(sum); });
      if (!watch.advance(++done, total)) return interrupted();
    }
  }
  return result;
}

}  // namespace atelier::rehearsal
