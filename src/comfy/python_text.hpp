// SPDX-License-Identifier: MIT
#pragma once
// How Python writes values: ComfyUI's error texts, stringified ids and metadata of files are made of these.

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>

namespace atelier::comfy {

/// repr(float): "1.0", "0.1", "1e-05", "1e+16".
[[nodiscard]] std::string python_float_repr(double value);
/// repr() of a JSON value after json.loads: 'text', True, None, ['a', 1], {'a': 1}.
[[nodiscard]] std::string python_repr(const boost::json::value& value);
[[nodiscard]] std::string python_repr(std::string_view text);
/// str(): as repr, but a string as it is.
[[nodiscard]] std::string python_str(const boost::json::value& value);
/// bool(): empty and zero are false.
[[nodiscard]] bool python_truth(const boost::json::value& value);
/// type(value).__name__: NoneType, bool, int, float, str, list, dict.
[[nodiscard]] std::string_view python_type_name(const boost::json::value& value);
/// ==: 1, 1.0 and True are equal.
[[nodiscard]] bool python_equal(const boost::json::value& a, const boost::json::value& b);
/// Text equal to Python's json.dumps(value): ", " and ": ", \uXXXX for all but ASCII, floats by repr.
[[nodiscard]] std::string python_json_dumps(const boost::json::value& value);

/// A text of json.dumps() as JSON: of what Python writes beyond it NaN becomes null, an infinity the largest
/// double, and half of a surrogate pair (a byte of a file name that is not UTF-8) U+FFFD. All else stays,
/// also what no Python writes: parse the result as strictly as anything.
[[nodiscard]] std::string strict_json(std::string_view text);

}  // namespace atelier::comfy
