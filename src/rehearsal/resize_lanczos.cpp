// SPDX-License-Identifier: MIT
#include "rehearsal/resize_lanczos.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "rehearsal/resize.hpp"

namespace atelier::rehearsal {
namespace {

constexpr double kLobes = 3.0;
constexpr int kFractionBits = 32 - 8 - 2;  // Pillow: room for 8-bit samples, a sign and a sum above 1

double sinc(double x) { return x == 0 ? 1 : std::sin(x * std::numbers::pi) / (x * std::numbers::pi); }
double lanczos(double x) { return x >= -kLobes && x < kLobes ? sinc(x) * sinc(x / kLobes) : 0; }

// For each result position the first source position and its fixed-point weights, `taps` per position (0
// beyond the end).
struct Weights {
  std::size_t taps = 0;
  std::vector<std::uint32_t> first, count;
  std::vector<std::int32_t> weights;
};

Weights make_weights(std::uint32_t old_size, std::uint32_t new_size) {
  Weights all;
  const double scale = static_cast<double>(old_size) / new_size;
  const double widening = std::max(scale, 1.0),
               reach = kLobes * widening;  // wider when shrinking: antialiased
  all.taps = static_cast<std::size_t>(std::ceil(reach)) * 2 + 1;
  std::vector<double> row(all.taps);
  for (std::uint32_t i = 0; i < new_size; ++i) {
    const double centre = (i + 0.5) * scale;
    const auto first = static_cast<std::int64_t>(std::max(0.0, std::trunc(centre - reach + 0.5)));
    const auto end =
        std::min(static_cast<std::int64_t>(old_size), static_cast<std::int64_t>(centre + reach + 0.5));
    const auto count = static_cast<std::size_t>(std::max<std::int64_t>(end - first, 0));
    double sum = 0;
    for (std::size_t t = 0; t < count; ++t) {
      const double distance = static_cast<double>(static_cast<std::int64_t>(t) + first) - centre + 0.5;
      row[t] = lanczos(distance * (1.0 / widening));
      sum += row[t];
    }
    all.first.push_back(static_cast<std::uint32_t>(first));
    all.count.push_back(static_cast<std::uint32_t>(count));
    for (std::size_t t = 0; t < all.taps; ++t) {
      const double weight = t < count ? (sum != 0 ? row[t] / sum : row[t]) : 0;
      const double fixed = weight * (1 << kFractionBits);
      all.weights.push_back(static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return all;
}

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// One 8-bit picture, rows or columns scaled. `stride` is the distance between neighbours along the scaled
// axis.
using Bytes = std::vector<std::uint8_t>;

Bytes scale_across(const Bytes& from, std::uint32_t old_width, std::uint32_t new_width, std::uint32_t height,
                   std::uint32_t channels) {
  const Weights all = make_weights(old_width, new_width);
  Bytes to(std::size_t{new_width} * height * channels);
  for (std::uint32_t y = 0; y < height; ++y) {
    const std::uint8_t* row = from.data() + std::size_t{y} * old_width * channels;
    std::uint8_t* out = to.data() + std::size_t{y} * new_width * channels;
    for (std::uint32_t x = 0; x < new_width; ++x) {
      const std::int32_t* weights = all.weights.data() + x * all.taps;
      for (std::uint32_t c = 0; c < channels; ++c) {
        std::int32_t sum = 1 << (kFractionBits - 1);
        const std::uint8_t* sample = row + std::size_t{all.first[x]} * channels + c;
        for (std::uint32_t t = 0; t < all.count[x]; ++t, sample += channels) sum += *sample * weights[t];
        *out++ = rounded(sum);
      }
    }
  }
  return to;
}

NodeResult<Bytes> scale_down_columns(const Bytes& from, std::uint32_t old_height, std::uint32_t new_height,
                                     std::size_t row_length, std::uint64_t done, std::uint64_t total,
                                     Watch& watch) {
  const Weights all = make_weights(old_height, new_height);
  Bytes to(row_length * new_height);
  std::vector<std::int32_t> sums(row_length);
  for (std::uint32_t y = 0; y < new_height; ++y) {
    const std::int32_t* weights = all.weights.data() + y * all.taps;
    std::ranges::fill(sums, 1 << (kFractionBits - 1));
    for (std::uint32_t t = 0; t < all.count[y]; ++t) {
      const std::uint8_t* row = from.data() + (all.first[y] + t) * row_length;
      for (std::size_t i = 0; i < row_length; ++i) sums[i] += row[i] * weights[t];
    }
    for (std::size_t i = 0; i < row_length; ++i) to[y * row_length + i] = rounded(sums[i]);
    if (!watch.advance(done + y + 1, total)) return interrupted();
  }
  return to;
}

// Which axis comes first shows: what lies between the two passes is rounded to 8 bits. Pillow 13.0.0
// (src/libImaging/Resample.c, ImagingResampleInner) begins with the columns if the height shrinks by more
// than twice what the width does; a width that grows shrinks by less than nothing.
bool columns_first(const Tensor& source, const Tensor& result) {
  const std::int64_t lower = std::int64_t{source.height} - result.height;
  const std::int64_t narrower = std::int64_t{source.width} - result.width;
  return lower > 0 && lower > 2 * narrower;
}

// Pillow scales colours multiplied by their alpha, so that what is transparent does not bleed; both ways in 8
// bits.
void multiply_by_alpha(Bytes& rgba) {
  for (std::size_t i = 0; i < rgba.size(); i += 4) {
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned product = unsigned{rgba[i + c]} * rgba[i + 3] + 128;  // a division by 255, rounded
      rgba[i + c] = static_cast<std::uint8_t>(((product >> 8) + product) >> 8);
    }
  }
}
void divide_by_alpha(Bytes& rgba) {
  for (std::size_t i = 0; i < rgba.size(); i += 4) {
    if (rgba[i + 3] == 0 || rgba[i + 3] == 255) continue;
    for (std::size_t c = 0; c < 3; ++c)
      rgba[i + c] = static_cast<std::uint8_t>(std::min(255u * rgba[i + c] / rgba[i + 3], 255u));
  }
}

}  // namespace

NodeResult<Tensor> resize_lanczos(const Tensor& source, Tensor result, Watch& watch) {
  const std::uint64_t total = std::uint64_t{source.frames} * result.height;
  for (std::uint32_t frame = 0; frame < source.frames; ++frame) {
    if (!watch.advance(std::uint64_t{frame} * result.height, total)) return interrupted();
    Bytes bytes(source.frame_length());
    const float* from = source.samples.data() + frame * source.frame_length();
    std::transform(from, from + bytes.size(), bytes.begin(), to_byte);
    const bool by_alpha =
        source.channels == 4 && (result.width != source.width || result.height != source.height);
    if (by_alpha) multiply_by_alpha(bytes);
    // An axis that keeps its size is left alone, as in Pillow.
    const bool across = result.width != source.width, down = result.height != source.height;
    const bool down_first = columns_first(source, result);
    if (across && !down_first)
      bytes = scale_across(bytes, source.width, result.width, source.height, source.channels);
    if (down) {
      const std::size_t row_length = down_first ? source.row_length() : result.row_length();
      auto scaled = scale_down_columns(bytes, source.height, result.height, row_length,
                                       std::uint64_t{frame} * result.height, total, watch);
      if (!scaled) return std::unexpected(std::move(scaled).error());
      bytes = std::move(*scaled);
    }
    if (across && down_first)
      bytes = scale_across(bytes, source.width, result.width, result.height, source.channels);
    if (by_alpha) divide_by_alpha(bytes);
    float* to = result.samples.data() + frame * result.frame_length();
    std::ranges::transform(bytes, to, [](std::uint8_t byte) { return static_cast<float>(byte) / 255.0F; });
  }
  return result;
}

}  // namespace atelier::rehearsal
