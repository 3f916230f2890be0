// SPDX-License-Identifier: MIT
#pragma once
// Text chunks of PNG files: where ComfyUI keeps the prompt and the workflow of a picture.
// Outside source: PNG specification, 11.3.3 (tEXt, zTXt, iTXt).

#include <string>
#include <string_view>
#include <vector>

namespace atelier::image {

struct PngText {
  std::string key;   // UTF-8
  std::string text;  // UTF-8
};

/// All tEXt, zTXt and iTXt chunks in the order of the file; empty if it is no PNG. Broken chunks and texts
/// above 16 MB are left out. Checksums are not compared. Never fails.
[[nodiscard]] std::vector<PngText> read_png_texts(std::string_view bytes);

/// UTF-8 to Latin-1; false if a character has no place there or the bytes are no UTF-8.
[[nodiscard]] bool to_latin1(std::string_view utf8, std::string& out);
[[nodiscard]] std::string from_latin1(std::string_view latin1);

}  // namespace atelier::image
