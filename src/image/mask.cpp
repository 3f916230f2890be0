// SPDX-License-Identifier: MIT
#include "image/mask.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "image/decode.hpp"
#include "image/encode.hpp"

namespace atelier::image {
namespace {

constexpr int kLevel = 4;  // as ComfyUI (server.py, upload_mask)

/// One sample per pixel.
struct Alpha {
  std::uint32_t width = 0, height = 0;
  std::vector<std::uint8_t> samples;
};

// Only this much of the mask is kept while the picture is decoded.
Result<Alpha> alpha_of(std::string_view bytes) {
  ATELIER_TRY(const Picture8 picture, decode_first(bytes));
  Alpha alpha{picture.width, picture.height, {}};
  alpha.samples.assign(std::size_t{picture.width} * picture.height, 255);
  if (picture.channels == 4) {
    for (std::size_t i = 0; i < alpha.samples.size(); ++i) alpha.samples[i] = picture.samples[4 * i + 3];
  }
  return alpha;
}

}  // namespace

Result<std::string> with_alpha_of(std::string_view original, std::string_view mask) {
  ATELIER_TRY(const Alpha alpha, alpha_of(mask));
  ATELIER_TRY(Picture8 picture, decode_first(original));
  if (alpha.width != picture.width || alpha.height != picture.height) {
    return fail(Errc::bad_request, fmt::format("The mask has {} x {} pixels, the picture {} x {}.",
                                               alpha.width, alpha.height, picture.width, picture.height));
  }
  if (picture.channels == 3) {
    Picture8 wide{picture.width, picture.height, 1, 4, {}};
    wide.samples.resize(wide.frame_length());
    for (std::size_t i = 0; i < alpha.samples.size(); ++i)
      std::copy_n(picture.samples.data() + 3 * i, 3, wide.samples.data() + 4 * i);
    picture = std::move(wide);
  }
  for (std::size_t i = 0; i < alpha.samples.size(); ++i) picture.samples[4 * i + 3] = alpha.samples[i];
  return encode_png(view(picture), read_png_texts(original), kLevel);
}

}  // namespace atelier::image
