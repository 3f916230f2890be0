// SPDX-License-Identifier: MIT
#include "comfy/json.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "comfy/json_printer.hpp"
#include "comfy/python_text.hpp"
#include "comfy/utf8.hpp"

namespace atelier::comfy {

namespace json = boost::json;

namespace {

const json::value& null_value() {
  static const json::value value;
  return value;
}
const json::object& empty_object() {
  static const json::object object;
  return object;
}
const json::array& empty_array() {
  static const json::array array;
  return array;
}

/// Bytes that stand for themselves inside a printed string.
constexpr std::array<bool, 256> plain_bytes(bool ascii) {
  std::array<bool, 256> plain{};
  for (std::size_t byte = 0x20; byte < plain.size(); ++byte) {
    plain[byte] = byte != '"' && byte != '\\' && (byte < 0x7F || !ascii);
  }
  return plain;
}
constexpr std::array<bool, 256> kPlainUtf8 = plain_bytes(false), kPlainAscii = plain_bytes(true);

}  // namespace

Json::Json() = default;
Json::Json(json::value value) : value_(std::make_unique<json::value>(std::move(value))) {}
Json::Json(json::object object) : value_(std::make_unique<json::value>(std::move(object))) {}
Json::Json(json::array array) : value_(std::make_unique<json::value>(std::move(array))) {}
Json::Json(const Json& other)  // never into the other's arena, where a plain copy would go
    : value_(other.value_ ? std::make_unique<json::value>(*other.value_, json::storage_ptr()) : nullptr) {}
Json::Json(Json&& other) noexcept = default;
Json& Json::operator=(const Json& other) {
  if (this != &other) *this = Json(other);
  return *this;
}
Json& Json::operator=(Json&& other) noexcept {
  value_ = std::move(other.value_);  // before its arena
  arena_ = std::move(other.arena_);
  return *this;
}
Json::~Json() = default;

Json Json::part(json::value&& inside) const {
  Json out(std::move(inside));
  out.arena_ = arena_;
  return out;
}

json::value& Json::value() {
  if (!value_) value_ = std::make_unique<json::value>();
  return *value_;
}
const json::value& Json::value() const { return value_ ? *value_ : null_value(); }
json::object& Json::object() {
  json::value& inner = value();
  if (inner.is_null()) inner.emplace_object();
  return inner.as_object();
}
json::array& Json::array() {
  json::value& inner = value();
  if (inner.is_null()) inner.emplace_array();
  return inner.as_array();
}
const json::object& Json::object() const {
  const auto* object = value().if_object();
  return object ? *object : empty_object();
}
const json::array& Json::array() const {
  const auto* array = value().if_array();
  return array ? *array : empty_array();
}
bool Json::is_null() const { return value().is_null(); }
bool Json::is_object() const { return value().is_object(); }

std::string Json::print() const { return print_json(value()); }
void Json::print_to(std::string& out) const { print_json_to(value(), {}, out); }

bool operator==(const Json& a, const Json& b) { return a.value() == b.value(); }

std::string print_json(const json::value& value) {
  std::string out;
  print_json_to(value, {}, out);
  return out;
}

std::string quote_json(std::string_view text) {
  std::string out;
  print_json_string(text, {}, out);
  return out;
}

std::string quote_json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts) {
    if (out.size() > 1) out += ',';
    print_json_string(text, {}, out);
  }
  return out += ']';
}

void print_json_string(std::string_view text, JsonStyle style, std::string& out) {
  out += '"';
  std::size_t done = 0;
  const auto flush = [&](std::size_t end) { out.append(text.substr(done, end - done)); };
  const auto& plain = style.ascii ? kPlainAscii : kPlainUtf8;
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (plain[byte]) {
      ++at;
      continue;
    }
    flush(at);
    std::size_t length = 1;
    switch (byte) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case 0x7F:
        out += '\x7f';
        break;  // Python leaves DEL as it is
      default: {
        const CodePoint point = read_utf8(text, at);
        length = point.bytes;
        if (point.value >= 0x10000) {
          const char32_t rest = point.value - 0x10000;
          fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xD800 + std::uint32_t{rest >> 10},
                         0xDC00 + std::uint32_t{rest & 0x3FF});
        } else {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", std::uint32_t{point.value});
        }
      }
    }
    at += length;
    done = at;
  }
  flush(text.size());
  out += '"';
}

void print_json_to(const json::object& object, JsonStyle style, std::string& out,
                   const JsonIntercept* intercept) {
  out += '{';
  bool first = true;
  for (const auto& member : object) {
    if (!first) out += style.spaces ? ", " : ",";
    first = false;
    print_json_string(std::string_view(member.key().data(), member.key().size()), style, out);
    out += style.spaces ? ": " : ":";
    print_json_to(member.value(), style, out, intercept);
  }
  out += '}';
}

void print_json_to(const json::value& value, JsonStyle style, std::string& out,
                   const JsonIntercept* intercept) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return;
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return;
    case json::kind::int64:
      fmt::format_to(std::back_inserter(out), "{}", value.get_int64());
      return;
    case json::kind::uint64:
      fmt::format_to(std::back_inserter(out), "{}", value.get_uint64());
      return;
    case json::kind::double_:
      out += std::isfinite(value.get_double()) ? python_float_repr(value.get_double()) : "null";
      return;
    case json::kind::string:
      if (intercept != nullptr && (*intercept)(value, out)) return;
      print_json_string(std::string_view(value.get_string().data(), value.get_string().size()), style, out);
      return;
    case json::kind::array: {
      if (intercept != nullptr && (*intercept)(value, out)) return;
      out += '[';
      bool first = true;
      for (const auto& item : value.get_array()) {
        if (!first) out += style.spaces ? ", " : ",";
        first = false;
        print_json_to(item, style, out, intercept);
      }
      out += ']';
      return;
    }
    case json::kind::object:
      print_json_to(value.get_object(), style, out, intercept);
      return;
  }
}

}  // namespace atelier::comfy
