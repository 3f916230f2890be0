// SPDX-License-Identifier: MIT
#include "comfy/coerce.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <compare>
#include <limits>
#include <optional>
#include <string_view>

#include "comfy/python_text.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kIntDigitsMax = 4300;  // Python 3.11: sys.get_int_max_str_digits()

bool digit(char c) { return c >= '0' && c <= '9'; }

/// str.strip() for ASCII.
std::string_view strip(std::string_view text) {
  const auto space = [](char c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
  };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes digits with single underscores between them; appends the digits to `out`. False if there are none.
bool take_digits(std::string_view& text, std::string& out) {
  bool any = false;
  while (!text.empty()) {
    if (any && text.size() > 1 && text[0] == '_' && digit(text[1])) text.remove_prefix(1);
    if (!digit(text.front())) break;
    out += text.front();
    text.remove_prefix(1);
    any = true;
  }
  return any;
}

json::value integer(bool negative, std::string_view digits) {
  std::uint64_t magnitude = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude);
  constexpr auto kTop = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (read.ec == std::errc{}) {
    if (!negative && magnitude > kTop) return magnitude;
    if (magnitude <= kTop) {
      const auto value = static_cast<std::int64_t>(magnitude);
      return negative ? -value : value;
    }
    if (magnitude == kTop + 1) return std::numeric_limits<std::int64_t>::min();
  }
  double wide = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), wide);
  if (!std::isfinite(wide) || wide == 0) wide = std::numeric_limits<double>::max();
  return negative ? -wide : wide;
}

std::expected<PythonNumber, PythonError> int_of_text(std::string_view text) {
  std::string_view rest = strip(text);
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  std::string digits;
  if (!take_digits(rest, digits) || !rest.empty())
    return std::unexpected(PythonError{
        "ValueError", fmt::format("invalid literal for int() with base 10: {}", python_repr(text))});
  if (digits.size() > kIntDigitsMax)
    return std::unexpected(PythonError{
        "ValueError",
        fmt::format("Exceeds the limit ({} digits) for integer string conversion: value has {} digits; "
                    "use sys.set_int_max_str_digits() to increase the limit",
                    kIntDigitsMax, digits.size())});
  return PythonNumber{integer(negative, digits)};
}

std::optional<double> float_of_text(std::string_view text) {
  std::string_view rest = strip(text);
  std::string clean;
  if (rest.starts_with('-') || rest.starts_with('+')) {
    if (rest.front() == '-') clean += '-';
    rest.remove_prefix(1);
  }
  bool any = take_digits(rest, clean);
  if (rest.starts_with('.')) {
    clean += '.';
    rest.remove_prefix(1);
    any = take_digits(rest, clean) || any;
  }
  if (!any) return std::nullopt;
  if (rest.starts_with('e') || rest.starts_with('E')) {
    clean += 'e';
    rest.remove_prefix(1);
    if (rest.starts_with('-') || rest.starts_with('+')) {
      if (rest.front() == '-') clean += '-';
      rest.remove_prefix(1);
    }
    if (!take_digits(rest, clean)) return std::nullopt;
  }
  if (!rest.empty()) return std::nullopt;
  double value = 0;
  const auto read = std::from_chars(clean.data(), clean.data() + clean.size(), value);
  if (read.ec == std::errc::result_out_of_range) {
    // Too small reads as zero in Python, too big as infinity.
    const std::size_t exponent = clean.find('e');
    if (exponent != std::string::npos && clean[exponent + 1] == '-') return 0.0;
    return std::nullopt;
  }
  if (read.ec != std::errc{}) return std::nullopt;
  return value;
}

bool is_int(const json::value& value) { return value.is_int64() || value.is_uint64(); }

bool int_less(const json::value& left, const json::value& right) {
  if (left.is_uint64() && right.is_uint64()) return left.get_uint64() < right.get_uint64();
  if (left.is_uint64())
    return right.get_int64() >= 0 && left.get_uint64() < static_cast<std::uint64_t>(right.get_int64());
  if (right.is_uint64())
    return left.get_int64() < 0 || static_cast<std::uint64_t>(left.get_int64()) < right.get_uint64();
  return left.get_int64() < right.get_int64();
}

/// A double against an integer without rounding the integer, as Python does it.
std::partial_ordering compare(double left, const json::value& right) {
  constexpr double kTwo63 = 9223372036854775808.0, kTwo64 = 18446744073709551616.0;
  if (right.is_uint64() ? left >= kTwo64 : left >= kTwo63) return std::partial_ordering::greater;
  if (right.is_uint64() ? left < 0 : left < -kTwo63) return std::partial_ordering::less;
  const double whole = std::trunc(left);
  const auto integers = right.is_uint64() ? static_cast<std::uint64_t>(whole) <=> right.get_uint64()
                                          : static_cast<std::int64_t>(whole) <=> right.get_int64();
  if (integers != 0) return integers;
  return left <=> whole;
}

/// Two numbers.
bool less(const json::value& left, const json::value& right) {
  if (left.is_double() && right.is_double()) return left.get_double() < right.get_double();
  if (left.is_double()) return compare(left.get_double(), right) < 0;
  if (right.is_double()) return compare(right.get_double(), left) > 0;
  return int_less(left, right);
}

}  // namespace

std::expected<PythonNumber, PythonError> python_int(const json::value& value) {
  if (is_int(value)) return PythonNumber{value};
  if (value.is_bool()) return PythonNumber{json::value(std::int64_t{value.get_bool()})};
  if (value.is_double()) {
    const double whole = std::trunc(value.get_double());
    if (whole >= -9223372036854775808.0 && whole < 9223372036854775808.0)
      return PythonNumber{json::value(static_cast<std::int64_t>(whole))};
    if (whole > 0 && whole < 18446744073709551616.0)
      return PythonNumber{json::value(static_cast<std::uint64_t>(whole))};
    return PythonNumber{json::value(whole)};
  }
  if (value.is_string()) return int_of_text({value.get_string().data(), value.get_string().size()});
  return std::unexpected(PythonError{
      "TypeError",
      fmt::format("int() argument must be a string, a bytes-like object or a real number, not '{}'",
                  python_type_name(value))});
}

std::expected<PythonNumber, PythonError> python_float(const json::value& value) {
  if (value.is_number()) return PythonNumber{json::value(value.to_number<double>())};
  if (value.is_bool()) return PythonNumber{json::value(value.get_bool() ? 1.0 : 0.0)};
  if (value.is_string()) {
    const std::string_view text(value.get_string().data(), value.get_string().size());
    if (const auto number = float_of_text(text)) return PythonNumber{json::value(*number)};
    return std::unexpected(
        PythonError{"ValueError", fmt::format("could not convert string to float: {}", python_repr(text))});
  }
  return std::unexpected(PythonError{
      "TypeError",
      fmt::format("float() argument must be a string or a real number, not '{}'", python_type_name(value))});
}

std::expected<bool, PythonError> python_less(const json::value& a, const json::value& b,
                                             const char* operator_text) {
  if (a.is_int64() && b.is_int64()) {
    return *operator_text == '>' ? b.get_int64() < a.get_int64() : a.get_int64() < b.get_int64();
  }
  const auto number = [](const json::value& v) { return v.is_number() || v.is_bool(); };
  if (!number(a) || !number(b))
    return std::unexpected(
        PythonError{"TypeError", fmt::format("'{}' not supported between instances of '{}' and '{}'",
                                             operator_text, python_type_name(a), python_type_name(b))});
  const json::value x = a.is_bool() ? json::value(std::int64_t{a.get_bool()}) : a;
  const json::value y = b.is_bool() ? json::value(std::int64_t{b.get_bool()}) : b;
  const bool swapped = *operator_text == '>';
  return swapped ? less(y, x) : less(x, y);
}

}  // namespace atelier::comfy
