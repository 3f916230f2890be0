// SPDX-License-Identifier: MIT
#pragma once
// Python's int() and float() on JSON values, with Python's exception texts: ComfyUI coerces literal inputs
// with them and shows the texts. For .cpp files only.

#include <boost/json.hpp>
#include <expected>
#include <string>

namespace atelier::comfy {

/// A Python exception: the class name and str() of it.
struct PythonError {
  std::string type, text;
};

/// A coerced number as it is stored.
struct PythonNumber {
  boost::json::value value;  // int64, uint64 or double
  [[nodiscard]] double as_double() const { return value.to_number<double>(); }
};

/// int(value). Integers beyond 64 bits become the nearest double.
[[nodiscard]] std::expected<PythonNumber, PythonError> python_int(const boost::json::value& value);
/// float(value). Python would take "nan" and "inf", which JSON cannot carry: here they are refused.
[[nodiscard]] std::expected<PythonNumber, PythonError> python_float(const boost::json::value& value);
/// a < b for numbers and booleans; TypeError for all else.
[[nodiscard]] std::expected<bool, PythonError> python_less(const boost::json::value& a,
                                                           const boost::json::value& b,
                                                           const char* operator_text);

}  // namespace atelier::comfy
