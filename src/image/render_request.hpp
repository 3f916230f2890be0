// SPDX-License-Identifier: MIT
#pragma once
// What `serve` asks of the image process, and how it is written on the socket between them. No image library
// in here: the server includes this and nothing else of src/image. Pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier::image {

/// The forms in which ComfyUI's GET /view gives a picture (CI D3), and what POST /upload/mask makes (CI D2).
enum class RenderForm : std::uint8_t {
  webp,       // the first frame
  jpeg,       // the same, without alpha
  png_rgb,    // without alpha
  png_alpha,  // black, with the picture's alpha (opaque if it has none)
  masked,     // the picture with the alpha of a second one, as PNG with the first one's texts
};
[[nodiscard]] std::string_view content_type_of(RenderForm form);

struct RenderRequest {
  RenderForm form = RenderForm::webp;
  std::uint8_t quality = 90;  // 1..100, of webp and jpeg
  bool drop_alpha = false;    // of webp: `channel=rgb` beside `preview`
};

/// 8 bytes. A request travels with two descriptors, the picture's file and an empty one for the answer, and
/// with `masked` a third one: the second picture's file.
[[nodiscard]] std::string encode(const RenderRequest& request);
[[nodiscard]] std::optional<RenderRequest> decode_request(std::string_view bytes);

/// 1 byte that says what became of it, then a sentence of at most 200 bytes.
[[nodiscard]] std::string encode_answer(const Result<void>& result);
/// Errors: what the image process said (unsupported, too_large, bad_request, internal), protocol.
[[nodiscard]] Result<void> decode_answer(std::string_view bytes);

}  // namespace atelier::image
