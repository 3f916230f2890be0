// SPDX-License-Identifier: MIT
#pragma once
// One JSON value behind a pointer, so that headers need only json/fwd.hpp, and a parser with limits.
// Values are plain data: use one from one thread at a time; const use from several is fine.

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace atelier::comfy {

struct JsonLimits {
  std::size_t bytes_max = 8u << 20;
  std::size_t depth_max = 64;  // nesting of arrays and objects
  /// All of the value lies in a few large blocks that go at once with the last part of it (see part()): for
  /// what lives shortly. Nothing may be moved out of it but by part().
  bool arena = false;
};

/// Owns one JSON value (null at first). Deep copies; a moved-from Json is null.
class Json {
 public:
  Json();
  explicit Json(boost::json::value value);
  explicit Json(boost::json::object object);
  explicit Json(boost::json::array array);
  Json(const Json& other);
  Json(Json&& other) noexcept;
  Json& operator=(const Json& other);
  Json& operator=(Json&& other) noexcept;
  ~Json();

  /// Strict JSON (RFC 8259, UTF-8). Of equal keys the last one counts, and a number with a fraction, an
  /// exponent or more than 64 bits is the nearest double, both as in Python.
  /// Errors: too_large above a limit; bad_request for anything that is not JSON (also NaN, lone surrogates, a
  /// BOM).
  [[nodiscard]] static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});

  /// `inside`, a value within this one, as a Json of its own that keeps the arena alive.
  [[nodiscard]] Json part(boost::json::value&& inside) const;

  [[nodiscard]] boost::json::value& value();
  [[nodiscard]] const boost::json::value& value() const;
  /// The object or array inside; a null value first becomes an empty one. Our mistake to call it on anything
  /// else.
  [[nodiscard]] boost::json::object& object();
  [[nodiscard]] boost::json::array& array();
  /// The object or array inside, or an empty one if this holds something else.
  [[nodiscard]] const boost::json::object& object() const;
  [[nodiscard]] const boost::json::array& array() const;
  [[nodiscard]] bool is_null() const;
  [[nodiscard]] bool is_object() const;

  /// Compact JSON text. A double always keeps a fraction or an exponent that reads back as a double.
  [[nodiscard]] std::string print() const;
  /// The same, appended to `out`.
  void print_to(std::string& out) const;

  friend bool operator==(const Json& a, const Json& b);

 private:
  std::shared_ptr<void> arena_;                // of value_, which goes first
  std::unique_ptr<boost::json::value> value_;  // null pointer = JSON null
};

/// Compact JSON text of a value or of one string (with quotes), without a Json around it.
[[nodiscard]] std::string print_json(const boost::json::value& value);
[[nodiscard]] std::string quote_json(std::string_view text);
/// `["a","b"]`.
[[nodiscard]] std::string quote_json_list(const std::vector<std::string>& texts);

}  // namespace atelier::comfy
