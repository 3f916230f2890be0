// SPDX-License-Identifier: MIT
#pragma once
// Samples into the bytes of a file. PNG is written here (zlib does the compression), JPEG and WebP by
// libvips. Any thread; the calls block.

#include <span>
#include <string>

#include "base/result.hpp"
#include "image/picture.hpp"
#include "image/png_text.hpp"

namespace atelier::image {

/// A PNG of 8 bits per sample, 3 or 4 channels, with one text chunk per entry of `texts` in their order,
/// before the pixels. A text in Latin-1 becomes tEXt, any other iTXt. `level` is zlib's 0..9 (ComfyUI:
/// SaveImage 4, PreviewImage 1). Errors: bad_request for an empty picture, another channel count, or a key
/// that is no PNG keyword (1-79 Latin-1 bytes).
[[nodiscard]] Result<std::string> encode_png(const FrameView& frame, std::span<const PngText> texts = {},
                                             int level = 6);

/// Quality 1..100 (clamped). JPEG drops the alpha channel. Errors: internal (libvips refused).
[[nodiscard]] Result<std::string> encode_jpeg(const FrameView& frame, int quality);
[[nodiscard]] Result<std::string> encode_webp(const FrameView& frame, int quality);

}  // namespace atelier::image
