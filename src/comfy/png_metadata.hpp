// SPDX-License-Identifier: MIT
#pragma once
// Texts inside PNG files, where ComfyUI keeps `prompt` and `workflow`.

#include <boost/json/fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace atelier::comfy {

/// (keyword, text in UTF-8), in the order to be written.
using PngTexts = std::vector<std::pair<std::string, std::string>>;

/// The file with these texts, each written as Pillow does: tEXt if it is Latin-1, else iTXt. Texts of the
/// same keyword and of the keyword `without` are removed; the new ones stand before the first IDAT; every
/// other chunk stays byte for byte.
/// Errors: bad_request for a file that is not a whole PNG, a keyword of not 1-79 bytes, or a NUL in a tEXt.
[[nodiscard]] Result<std::string> set_png_texts(std::string_view file, const PngTexts& texts,
                                                std::string_view without = {});

/// One text (tEXt, uncompressed iTXt), or nothing. Errors: bad_request as above.
[[nodiscard]] Result<std::optional<std::string>> png_text(std::string_view file, std::string_view keyword);

/// Text equal to Python's json.dumps(value): ", " and ": ", \uXXXX for all but ASCII, floats by repr.
[[nodiscard]] std::string python_json_dumps(const boost::json::value& value);

}  // namespace atelier::comfy
