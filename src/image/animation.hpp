// SPDX-License-Identifier: MIT
#pragma once
// Frames into an animated PNG or WebP, as ComfyUI's SaveAnimatedPNG and SaveAnimatedWEBP write them by way of
// Pillow: endless, full canvas, one duration for all frames. Any thread; the calls block.
// Outside sources: PNG specification 3, chapter 11.3.6 (animation); WebP container specification; EXIF 2.3.

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.hpp"
#include "image/picture.hpp"
#include "image/png_text.hpp"

namespace atelier::image {

/// Asked before each frame; false: stop, with the error cancelled.
using KeepGoing = std::function<bool()>;

/// `texts` become chunks of the type comf behind the pixels: key, NUL, text, both in Latin-1 (front ends read
/// them there). Frames that equal the one before only make that one longer; a single frame makes a still PNG.
/// `frame_ms` is at least 1. Errors: bad_request for no pixels, another channel count than 3 or 4, or a text
/// that is not Latin-1.
[[nodiscard]] Result<std::string> encode_animated_png(const Picture8& frames, std::uint32_t frame_ms,
                                                      std::span<const PngText> texts, int level,
                                                      const KeepGoing& keep_going);

struct WebpOptions {
  bool lossless = true;
  int quality = 80;  // 0..100; of a lossless file the effort
  int method = 4;    // 0 (fast) .. 6 (small)
};

/// `texts` become EXIF tags "key:text": the one with the key "prompt" is Model (0x0110), the others Make
/// (0x010F) and down from there in their order. A single frame makes a still WebP. Errors: bad_request for no
/// pixels or more than 16383 on a side, internal if libwebp fails.
[[nodiscard]] Result<std::string> encode_animated_webp(const Picture8& frames, std::uint32_t frame_ms,
                                                       std::span<const PngText> texts,
                                                       const WebpOptions& options,
                                                       const KeepGoing& keep_going);

}  // namespace atelier::image
