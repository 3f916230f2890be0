// SPDX-License-Identifier: MIT
#include "comfy/python_text.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <cmath>

#include "comfy/json_printer.hpp"
#include "comfy/utf8.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

std::string_view view(const json::string& text) { return {text.data(), text.size()}; }

/// The code unit of the escape \uXXXX that stands at `at`; 0 if there is none.
std::uint32_t escaped_unit(std::string_view text, std::size_t at) {
  std::uint32_t value = 0;
  if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return 0;
  const auto [end, error] = std::from_chars(text.data() + at + 2, text.data() + at + 6, value, 16);
  return error == std::errc{} && end == text.data() + at + 6 ? value : 0;
}

/// str.isprintable() for one code point, near enough: categories C and Z (but the space) are escaped.
bool printable(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD || c == 0x1680 || c == 0x180E || c == 0x3000)
    return false;
  if ((c >= 0x2000 && c <= 0x200F) || (c >= 0x2028 && c <= 0x202F) || (c >= 0x205F && c <= 0x206F))
    return false;
  if ((c >= 0xD800 && c <= 0xF8FF) || c == 0xFEFF || (c >= 0xFFF0 && c <= 0xFFFB) || (c & 0xFFFE) == 0xFFFE)
    return false;
  return c < 0xE0000;
}

void append_repr(const json::value& value, std::string& out);

void append_repr_text(std::string_view text, std::string& out) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  out += quote;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = read_utf8(text, at);
    const auto number = std::uint32_t{point.value};
    if (number == static_cast<unsigned char>(quote) || number == '\\') {
      out += '\\';
      out += static_cast<char>(number);
    } else if (number == '\n') {
      out += "\\n";
    } else if (number == '\r') {
      out += "\\r";
    } else if (number == '\t') {
      out += "\\t";
    } else if (printable(point.value)) {
      out.append(text.substr(at, point.bytes));
    } else if (number < 0x100) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", number);
    } else if (number < 0x10000) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", number);
    } else {
      fmt::format_to(std::back_inserter(out), "\\U{:08x}", number);
    }
    at += point.bytes;
  }
  out += quote;
}

void append_repr(const json::value& value, std::string& out) {
  switch (value.kind()) {
    case json::kind::null:
      out += "None";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "True" : "False";
      return;
    case json::kind::int64:
      fmt::format_to(std::back_inserter(out), "{}", value.get_int64());
      return;
    case json::kind::uint64:
      fmt::format_to(std::back_inserter(out), "{}", value.get_uint64());
      return;
    case json::kind::double_:
      out += python_float_repr(value.get_double());
      return;
    case json::kind::string:
      append_repr_text(view(value.get_string()), out);
      return;
    case json::kind::array: {
      out += '[';
      bool first = true;
      for (const auto& item : value.get_array()) {
        if (!first) out += ", ";
        first = false;
        append_repr(item, out);
      }
      out += ']';
      return;
    }
    case json::kind::object: {
      out += '{';
      bool first = true;
      for (const auto& member : value.get_object()) {
        if (!first) out += ", ";
        first = false;
        append_repr_text({member.key().data(), member.key().size()}, out);
        out += ": ";
        append_repr(member.value(), out);
      }
      out += '}';
      return;
    }
  }
}

bool number_of(const json::value& value) { return value.is_number() || value.is_bool(); }

/// A boolean as the integer that it is in Python.
json::value as_number(const json::value& value) {
  return value.is_bool() ? json::value(std::int64_t{value.get_bool()}) : value;
}

}  // namespace

std::string python_float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const double size = std::fabs(value);
  const bool fixed = size == 0 || (size >= 1e-4 && size < 1e16);
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value,
                                 fixed ? std::chars_format::fixed : std::chars_format::scientific);
  std::string out(buffer, end.ptr);
  if (fixed && out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string python_repr(const json::value& value) {
  std::string out;
  append_repr(value, out);
  return out;
}

std::string python_repr(std::string_view text) {
  std::string out;
  append_repr_text(text, out);
  return out;
}

std::string python_str(const json::value& value) {
  if (const auto* text = value.if_string()) return std::string(view(*text));
  return python_repr(value);
}

bool python_truth(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return false;
    case json::kind::bool_:
      return value.get_bool();
    case json::kind::int64:
      return value.get_int64() != 0;
    case json::kind::uint64:
      return value.get_uint64() != 0;
    case json::kind::double_:
      return value.get_double() != 0;
    case json::kind::string:
      return !value.get_string().empty();
    case json::kind::array:
      return !value.get_array().empty();
    case json::kind::object:
      return !value.get_object().empty();
  }
  return false;
}

std::string_view python_type_name(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "NoneType";
    case json::kind::bool_:
      return "bool";
    case json::kind::int64:
    case json::kind::uint64:
      return "int";
    case json::kind::double_:
      return "float";
    case json::kind::string:
      return "str";
    case json::kind::array:
      return "list";
    case json::kind::object:
      return "dict";
  }
  return "object";
}

bool python_equal(const json::value& a, const json::value& b) {
  if (number_of(a) && number_of(b)) {
    const json::value x = as_number(a), y = as_number(b);
    if (x.is_double() || y.is_double()) return x.to_number<double>() == y.to_number<double>();
    return x == y;
  }
  if (a.is_array() && b.is_array()) {
    const auto &x = a.get_array(), &y = b.get_array();
    if (x.size() != y.size()) return false;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!python_equal(x[i], y[i])) return false;
    return true;
  }
  if (a.is_object() && b.is_object()) {
    const auto &x = a.get_object(), &y = b.get_object();
    if (x.size() != y.size()) return false;
    for (const auto& member : x) {
      const auto* other = y.if_contains(member.key());
      if (other == nullptr || !python_equal(member.value(), *other)) return false;
    }
    return true;
  }
  return a.kind() == b.kind() && a == b;
}

std::string strict_json(std::string_view text) {
  constexpr std::string_view kLargest = "1.7976931348623157e308";
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    std::size_t bytes = 1;
    std::string_view written;
    if (in_string && rest[0] == '\\') {
      const std::uint32_t unit = escaped_unit(text, at);
      const std::uint32_t next = unit >= 0xD800 && unit <= 0xDBFF ? escaped_unit(text, at + 6) : 0;
      const bool pair = next >= 0xDC00 && next <= 0xDFFF;
      bytes = pair ? 12 : unit != 0 ? 6 : 2;
      if (!pair && unit >= 0xD800 && unit <= 0xDFFF) written = "\\ufffd";
    } else if (rest[0] == '"') {
      in_string = !in_string;
    } else if (!in_string && rest.starts_with("NaN")) {
      bytes = 3;
      written = "null";
    } else if (!in_string && rest.starts_with("Infinity")) {  // a minus stays before it
      bytes = 8;
      written = kLargest;
    }
    out += written.empty() ? rest.substr(0, bytes) : written;
    at += bytes;
  }
  return out;
}

std::string python_json_dumps(const json::value& value) {
  std::string out;
  print_json_to(value, JsonStyle{.spaces = true, .ascii = true}, out);
  return out;
}

}  // namespace atelier::comfy
