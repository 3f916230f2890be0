// SPDX-License-Identifier: MIT
#pragma once
// Decoded pictures in memory: rows of interleaved samples, one or more frames of equal size, sRGB.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace atelier::image {

/// `samples` holds frames * height * width * channels values: frame, row, column, channel (NHWC).
/// 3 channels are RGB, 4 are RGBA with alpha not premultiplied. std::uint8_t: 0..255; float: 0..1.
template <class Sample>
struct Picture {
  std::uint32_t width = 0, height = 0, frames = 1, channels = 3;
  std::vector<Sample> samples;

  [[nodiscard]] std::size_t row_length() const { return std::size_t{width} * channels; }
  [[nodiscard]] std::size_t frame_length() const { return row_length() * height; }
};

using Picture8 = Picture<std::uint8_t>;
using PictureF = Picture<float>;

/// One frame of 8-bit samples that somebody else owns.
struct FrameView {
  std::uint32_t width = 0, height = 0, channels = 3;
  const std::uint8_t* samples = nullptr;
};

[[nodiscard]] inline FrameView view(const Picture8& picture, std::uint32_t frame = 0) {
  return {picture.width, picture.height, picture.channels,
          picture.samples.data() + frame * picture.frame_length()};
}

}  // namespace atelier::image
