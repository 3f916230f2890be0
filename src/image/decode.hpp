// SPDX-License-Identifier: MIT
#pragma once
// Bytes of a PNG, JPEG, WebP, GIF or TIFF file into samples. Nothing else is decoded: the format is
// recognised by its first bytes, and libvips is told to refuse its less tested loaders
// (vips_block_untrusted_set).
//
// Threads: any thread; the calls block and use one thread. Memory: about 3 times the decoded samples at the
// peak. Orientation (EXIF tag 274) is applied to the samples, as viewers do. Colour profiles are not applied
// (ComfyUI does not either); CMYK and Lab are converted to sRGB. An animated PNG gives its default picture
// only, frames of a TIFF that differ in size are left out. tests/golden/README.md lists what ComfyUI 0.21.0,
// which decodes through FFmpeg, makes otherwise.

#include <optional>
#include <string_view>

#include "base/result.hpp"
#include "image/picture.hpp"

namespace atelier::image {

enum class Format { png, jpeg, webp, gif, tiff };

/// By the first bytes; nullopt for everything else.
[[nodiscard]] std::optional<Format> recognise(std::string_view bytes);

struct DecodeLimits {
  std::uint64_t pixels_max = 100'000'000;  // width * height * frames
  std::uint32_t frames_max = 4096;
};

/// All frames as float, 8-bit samples / 255 and 16-bit samples / 65535 (single precision).
/// 4 channels if the file can have transparency by its kind (an alpha channel, a palette PNG, a GIF, a
/// lossless WebP: what FFmpeg decodes with alpha, so that LoadImage's mask has the picture's size in the same
/// cases), else 3. Errors: unsupported (not one of the formats), too_large (limits; found before decoding),
/// bad_request (broken file).
[[nodiscard]] Result<PictureF> decode_float(std::string_view bytes, const DecodeLimits& limits = {});

/// The first frame as 8-bit samples; 4 channels only if the file has an alpha channel. Errors as
/// decode_float.
[[nodiscard]] Result<Picture8> decode_first(std::string_view bytes, const DecodeLimits& limits = {});

}  // namespace atelier::image
