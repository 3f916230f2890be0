// SPDX-License-Identifier: MIT
#include "rehearsal/resize.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "rehearsal/resize_lanczos.hpp"

namespace atelier::rehearsal {
namespace {

// Which source positions make up one position of the result, with their weights: the same for every row or
// column.
struct Axis {
  std::size_t taps = 1;
  std::vector<std::uint32_t> from;  // taps per result position
  std::vector<float> weights;
};

// Distance-weighted cubic of Keys with a = -0.75, as PyTorch evaluates it in single precision.
constexpr float kCubic = -0.75F;
float cubic_near(float x) { return ((kCubic + 2) * x - (kCubic + 3)) * x * x + 1; }
float cubic_far(float x) { return ((kCubic * x - 5 * kCubic) * x + 8 * kCubic) * x - 4 * kCubic; }

Axis make_axis(std::uint32_t old_size, std::uint32_t new_size, Scaling scaling) {
  Axis axis;
  axis.taps = scaling == Scaling::bicubic ? 4 : scaling == Scaling::bilinear ? 2 : 1;
  const float scale = static_cast<float>(old_size) / static_cast<float>(new_size);
  const auto last = static_cast<std::int64_t>(old_size) - 1;
  const auto add = [&](std::int64_t position, float weight) {
    axis.from.push_back(static_cast<std::uint32_t>(std::clamp<std::int64_t>(position, 0, last)));
    axis.weights.push_back(weight);
  };
  for (std::uint32_t i = 0; i < new_size; ++i) {
    const float centre = scale * (static_cast<float>(i) + 0.5F);
    if (scaling == Scaling::nearest_exact) {
      add(static_cast<std::int64_t>(std::floor(centre)), 1);
    } else if (scaling == Scaling::bilinear) {
      const float place = std::max(centre - 0.5F, 0.0F);
      const float whole = std::floor(place), part = std::min(place - whole, 1.0F);
      add(static_cast<std::int64_t>(whole), 1 - part);
      add(static_cast<std::int64_t>(whole) + 1, part);
    } else {
      const float place = centre - 0.5F;
      const auto whole = static_cast<std::int64_t>(std::floor(place));
      const float part = place - std::floor(place);
      add(whole - 1, cubic_far(part + 1));
      add(whole, cubic_near(part));
      add(whole + 1, cubic_near(1 - part));
      add(whole + 2, cubic_far(2 - part));
    }
  }
  return axis;
}

void widen_row(const float* from, float* to, const Axis& axis, std::uint32_t width, std::uint32_t channels) {
  for (std::uint32_t x = 0; x < width; ++x) {
    const std::size_t first = std::size_t{x} * axis.taps;
    for (std::uint32_t c = 0; c < channels; ++c) {
      float sum = from[std::size_t{axis.from[first]} * channels + c] * axis.weights[first];
      for (std::size_t t = 1; t < axis.taps; ++t) {
        sum += from[std::size_t{axis.from[first + t]} * channels + c] * axis.weights[first + t];
      }
      *to++ = sum;
    }
  }
}

// Rows first, then columns. A short ring of widened rows is enough: the rows a result row needs lie side by
// side.
NodeResult<Tensor> resize_by_taps(const Tensor& source, Tensor result, Scaling scaling, Watch& watch) {
  const Axis across = make_axis(source.width, result.width, scaling);
  const Axis down = make_axis(source.height, result.height, scaling);
  const std::size_t length = result.row_length();
  constexpr std::size_t kRing = 8;  // more than the 4 neighbouring rows of bicubic
  std::vector<float> ring(kRing * length);
  const std::uint64_t total = std::uint64_t{source.frames} * result.height;
  for (std::uint32_t frame = 0; frame < source.frames; ++frame) {
    const float* from = source.samples.data() + frame * source.frame_length();
    float* to = result.samples.data() + frame * result.frame_length();
    std::vector<std::int64_t> held(kRing, -1);
    for (std::uint32_t y = 0; y < result.height; ++y) {
      const std::size_t first = std::size_t{y} * down.taps;
      for (std::size_t t = 0; t < down.taps; ++t) {
        const std::uint32_t row = down.from[first + t];
        float* widened = ring.data() + row % kRing * length;
        if (held[row % kRing] != row) {
          widen_row(from + row * source.row_length(), widened, across, result.width, source.channels);
          held[row % kRing] = row;
        }
        const float weight = down.weights[first + t];
        float* target = to + y * length;
        if (t == 0) {
          for (std::size_t i = 0; i < length; ++i) target[i] = widened[i] * weight;
        } else {
          for (std::size_t i = 0; i < length; ++i) target[i] += widened[i] * weight;
        }
      }
      if (!watch.advance(std::uint64_t{frame} * result.height + y + 1, total)) return interrupted();
    }
  }
  return result;
}

// Every result pixel is the mean of the source pixels that it touches (PyTorch: adaptive average pooling).
NodeResult<Tensor> resize_area(const Tensor& source, Tensor result, Watch& watch) {
  const auto begin = [](std::uint64_t i, std::uint64_t old_size, std::uint64_t new_size) {
    return i * old_size / new_size;
  };
  const auto end = [](std::uint64_t i, std::uint64_t old_size, std::uint64_t new_size) {
    return ((i + 1) * old_size + new_size - 1) / new_size;
  };
  float* to = result.samples.data();
  const std::uint64_t total = std::uint64_t{source.frames} * result.height;
  std::vector<float> sums(source.channels);
  for (std::uint32_t frame = 0; frame < source.frames; ++frame) {
    const float* from = source.samples.data() + frame * source.frame_length();
    for (std::uint32_t y = 0; y < result.height; ++y) {
      const auto y0 = begin(y, source.height, result.height), y1 = end(y, source.height, result.height);
      for (std::uint32_t x = 0; x < result.width; ++x) {
        const auto x0 = begin(x, source.width, result.width), x1 = end(x, source.width, result.width);
        std::ranges::fill(sums, 0.0F);
        for (auto row = y0; row < y1; ++row) {
          const float* sample = from + row * source.row_length() + x0 * source.channels;
          for (auto column = x0; column < x1; ++column) {
            for (float& sum : sums) sum += *sample++;
          }
        }
        for (const float sum : sums) *to++ = sum / static_cast<float>(y1 - y0) / static_cast<float>(x1 - x0);
      }
      if (!watch.advance(std::uint64_t{frame} * result.height + y + 1, total)) return interrupted();
    }
  }
  return result;
}

}  // namespace

std::optional<Scaling> parse_scaling(std::string_view name) {
  if (name == "nearest-exact") return Scaling::nearest_exact;
  if (name == "bilinear") return Scaling::bilinear;
  if (name == "area") return Scaling::area;
  if (name == "bicubic") return Scaling::bicubic;
  if (name == "lanczos") return Scaling::lanczos;
  return std::nullopt;
}

NodeResult<Tensor> resize(const Tensor& source, std::uint32_t width, std::uint32_t height, Scaling scaling,
                          Watch& watch) {
  const bool nothing = source.width == 0 || source.height == 0;
  if ((nothing && scaling != Scaling::lanczos) || width == 0 || height == 0) {
    return node_failure("RuntimeError", "a picture without pixels cannot be scaled");
  }
  auto result = make_tensor(source.frames, height, width, source.channels);
  if (!result) return std::unexpected(std::move(result).error());
  if (nothing) return result;  // Pillow 13 adds up no samples, which is black, where PyTorch refuses
  if (scaling == Scaling::lanczos) return resize_lanczos(source, std::move(*result), watch);
  if (scaling == Scaling::area) return resize_area(source, std::move(*result), watch);
  return resize_by_taps(source, std::move(*result), scaling, watch);
}

NodeResult<Tensor> resize_named(const Tensor& source, double width, double height, std::string_view method,
                                Watch& watch) {
  const auto scaling = parse_scaling(method);
  if (!scaling) return node_failure("ValueError", fmt::format("unknown scaling method '{}'", method));
  if (width < 1 || height < 1) {
    return node_failure(*scaling == Scaling::lanczos ? "ValueError" : "RuntimeError",
                        fmt::format("a picture of {} x {} pixels cannot be made", width, height));
  }
  const auto side = [](double size) {  // make_tensor refuses what is cut here
    return static_cast<std::uint32_t>(std::min(size, static_cast<double>(kTensorPixelsMax) + 1));
  };
  return resize(source, side(width), side(height), *scaling, watch);
}

Tensor cut(const Tensor& source, std::uint32_t x, std::uint32_t y, std::uint32_t width,
           std::uint32_t height) {
  Tensor part{width, height, source.frames, source.channels, {}};
  part.samples.reserve(part.frame_length() * part.frames);
  for (std::uint32_t frame = 0; frame < source.frames; ++frame) {
    for (std::uint32_t row = y; row < y + height; ++row) {
      const auto from =
          source.samples.begin() +
          static_cast<std::ptrdiff_t>(frame * source.frame_length() + row * source.row_length() +
                                      std::size_t{x} * source.channels);
      part.samples.insert(part.samples.end(), from, from + static_cast<std::ptrdiff_t>(part.row_length()));
    }
  }
  return part;
}

Tensor center_crop(const Tensor& source, std::uint32_t width, std::uint32_t height) {
  // Doubles and rounding to even, as Python computes it, so that the same pixels are cut away.
  const double old_width = source.width, old_height = source.height;
  const double old_aspect = old_width / old_height, new_aspect = double{static_cast<double>(width)} / height;
  double x = 0, y = 0;
  if (old_aspect > new_aspect) x = std::nearbyint((old_width - old_width * (new_aspect / old_aspect)) / 2);
  if (old_aspect < new_aspect) y = std::nearbyint((old_height - old_height * (old_aspect / new_aspect)) / 2);
  const auto left = static_cast<std::uint32_t>(x), top = static_cast<std::uint32_t>(y);
  const std::uint32_t kept_width = source.width - std::min(source.width, left * 2);
  const std::uint32_t kept_height = source.height - std::min(source.height, top * 2);
  return cut(source, left, top, kept_width, kept_height);
}

std::uint8_t to_byte(float sample) {
  const float scaled = 255.0F * sample;
  if (!(scaled > 0)) return 0;  // also NaN
  return scaled >= 255 ? 255 : static_cast<std::uint8_t>(scaled);
}

}  // namespace atelier::rehearsal
