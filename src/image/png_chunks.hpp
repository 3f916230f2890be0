// SPDX-License-Identifier: MIT
#pragma once
// Private to src/image: the parts that a still and an animated PNG are written from.
// Outside source: PNG specification, chapters 5 and 11.

#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "image/picture.hpp"

namespace atelier::image {

void append_u32(std::string& out, std::uint32_t value);  // big-endian, as all numbers of a PNG
void append_chunk(std::string& out, std::string_view type, std::string_view data);

/// The signature and the IHDR chunk of a picture of 8 bits per sample, 3 or 4 channels.
[[nodiscard]] std::string png_head(const FrameView& frame);

using TakeBlock = std::function<void(std::string_view block)>;

/// The filtered and compressed rows of a frame in blocks of at most 256 KiB, each to become a chunk. `level`
/// is zlib's 0..9. Error internal if zlib fails.
[[nodiscard]] Result<void> compress_pixels(const FrameView& frame, int level, const TakeBlock& take);

}  // namespace atelier::image
