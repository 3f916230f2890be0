// SPDX-License-Identifier: MIT
#include "rehearsal/channels.hpp"

#include <algorithm>

namespace atelier::rehearsal {

Tensor with_channels(const Tensor& source, std::uint32_t channels) {
  if (channels == source.channels) return source;
  Tensor fitted{source.width, source.height, source.frames, channels, {}};
  fitted.samples.assign(fitted.frame_length() * fitted.frames, 1.0F);
  const std::uint32_t kept = std::min(channels, source.channels);
  for (std::size_t i = 0, pixels = fitted.samples.size() / channels; i < pixels; ++i) {
    std::copy_n(source.samples.data() + i * source.channels, kept, fitted.samples.data() + i * channels);
  }
  return fitted;
}

NodeResult<Tensor> with_frames(const Tensor& source, std::uint32_t frames) {
  if (frames == source.frames || source.frames == 0) return source;
  auto fitted = make_tensor(frames, source.height, source.width, source.channels);
  if (!fitted) return fitted;
  for (std::size_t frame = 0; frame < frames; ++frame) {
    std::copy_n(source.samples.data() + frame % source.frames * source.frame_length(), source.frame_length(),
                fitted->samples.data() + frame * source.frame_length());
  }
  return fitted;
}

}  // namespace atelier::rehearsal
