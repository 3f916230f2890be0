// SPDX-License-Identifier: MIT
#pragma once
// Frames into the bytes of a video file and back, by the ffmpeg libraries of the distribution. A target of
// its own (atelier::image_video): the image process does not link it. Any thread; the calls block and use one
// thread. Memory: the file, and what a call gives or takes.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "image/picture.hpp"
#include "image/png_text.hpp"

namespace atelier::image {

/// Frames per second as a fraction; both above 0.
struct Rate {
  std::int64_t numerator = 1, denominator = 1;
  [[nodiscard]] double per_second() const {
    return static_cast<double>(numerator) / static_cast<double>(denominator);
  }
};
/// The rate in thousandths, as ComfyUI rounds it (half to even), in lowest terms; at least 1/1000.
[[nodiscard]] Rate rate_in_thousandths(double per_second);

/// h264 in MP4 (libx264, its own quality), vp9 and av1 in WebM (libvpx-vp9; libsvtav1 with 10 bits, preset
/// 6).
enum class VideoCodec : std::uint8_t { h264, vp9, av1 };

struct VideoOptions {
  VideoCodec codec = VideoCodec::h264;
  Rate rate;
  double crf = 32;  // 0 (best) .. 63 (smallest); vp9 and av1 only
};

/// The n-th frame with three channels, all of one size; nullopt: stop.
using FrameSource = std::function<std::optional<Picture8>(std::uint32_t frame)>;

/// `texts` become the container's metadata under their own keys. Errors: bad_request for no frames,
/// unsupported if the library has no such encoder or the encoder refuses (h264: an odd side), cancelled,
/// internal.
[[nodiscard]] Result<std::string> encode_video(std::uint32_t frames, const FrameSource& source,
                                               std::span<const PngText> texts, const VideoOptions& options);

struct VideoFacts {
  std::uint32_t width = 0, height = 0;
  Rate rate;
  bool mp4 = false;   // the container is MP4 or one of its kin (MOV, 3GP)
  bool h264 = false;  // the codec
};
/// Of the first video stream. MP4, MOV, Matroska, WebM, AVI, FLV, MPEG, Ogg and GIF are read, nothing else,
/// and never another file or address that one of them names. Errors: bad_request (broken, or without video).
[[nodiscard]] Result<VideoFacts> read_video_facts(std::string_view bytes);

struct VideoLimits {
  std::uint64_t pixels_max = 100'000'000;  // width * height * frames
};
/// All frames with three channels; sound is left out. `keep_going` is asked once per frame. Errors:
/// bad_request, too_large, cancelled, internal.
struct DecodedVideo {
  PictureF frames;
  Rate rate;
};
[[nodiscard]] Result<DecodedVideo> decode_video(std::string_view bytes, const VideoLimits& limits,
                                                const std::function<bool()>& keep_going);

/// The same streams (video and sound, not decoded) in a new MP4, with the old metadata and `texts`, which
/// win. Errors: bad_request, unsupported (a codec that MP4 cannot hold), internal.
[[nodiscard]] Result<std::string> remux_video(std::string_view bytes, std::span<const PngText> texts);

}  // namespace atelier::image
