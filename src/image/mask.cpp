// SPDX-License-Identifier: MIT
#include "image/mask.hpp"

#include <algorithm>

#include "image/decode.hpp"
#include "image/encode.hpp"

namespace atelier::image {

Result<std::string> with_alpha_of(std::string_view original, std::string_view mask) {
  ATELIER_TRY(const Picture8 picture, decode_first(original));
  ATELIER_TRY(const Picture8 alpha, decode_first(mask));
  if (alpha.width != picture.width || alpha.height != picture.height)
    return fail(Errc::bad_request, "the mask has another size than the picture");
  Picture8 joined{picture.width, picture.height, 1, 4, {}};
  joined.samples.resize(joined.frame_length());
  for (std::size_t i = 0, pixels = joined.samples.size() / 4; i < pixels; ++i) {
    std::copy_n(picture.samples.data() + i * picture.channels, 3, joined.samples.data() + i * 4);
    joined.samples[i * 4 + 3] = alpha.channels == 4 ? alpha.samples[i * 4 + 3] : std::uint8_t{255};
  }
  constexpr int kLevel = 4;  // as ComfyUI (server.py, upload_mask)
  return encode_png(view(joined), read_png_texts(original), kLevel);
}

}  // namespace atelier::image
