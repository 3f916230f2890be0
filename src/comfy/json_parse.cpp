// SPDX-License-Identifier: MIT
// Json::parse. Boost.JSON's own json::parse is up to one unit in the last place off for numbers of 16 and 17
// digits (a choice only from Boost 1.83 on), so that a prompt would come back with other numbers than those
// it was posted with. Here every number is the nearest double, as in Python and in a browser.
#include "comfy/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <utility>

namespace atelier::comfy {

namespace json = boost::json;

namespace {

constexpr std::size_t kStackBytes = 4096;  // of a small document nothing but the value itself is allocated

/// What json::parser does with a document, but for doubles. The names are those that basic_parser calls.
struct Handler {
  static constexpr std::size_t max_object_size = json::object::max_size();
  static constexpr std::size_t max_array_size = json::array::max_size();
  static constexpr std::size_t max_key_size = json::string::max_size();
  static constexpr std::size_t max_string_size = json::string::max_size();

  explicit Handler(json::storage_ptr storage) : stack(json::storage_ptr(), buffer.data(), buffer.size()) {
    stack.reset(std::move(storage));
  }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return true; }
  bool on_object_end(std::size_t count, json::error_code&) {
    stack.push_object(count);
    return true;
  }
  bool on_array_begin(json::error_code&) { return true; }
  bool on_array_end(std::size_t count, json::error_code&) {
    stack.push_array(count);
    return true;
  }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    stack.push_chars(part);
    return true;
  }
  bool on_key(json::string_view last_part, std::size_t, json::error_code&) {
    stack.push_key(last_part);
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    stack.push_chars(part);
    return true;
  }
  bool on_string(json::string_view last_part, std::size_t, json::error_code&) {
    stack.push_string(last_part);
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }  // the text comes in one piece
  bool on_int64(std::int64_t value, json::string_view, json::error_code&) {
    stack.push_int64(value);
    return true;
  }
  bool on_uint64(std::uint64_t value, json::string_view, json::error_code&) {
    stack.push_uint64(value);
    return true;
  }
  bool on_double(double near, json::string_view text, json::error_code& error) {
    double exact = near;  // out of range it is zero or an infinity already
    std::from_chars(text.data(), text.data() + text.size(), exact);
    if (!std::isfinite(exact)) {  // no JSON text can hold it
      error = json::error::exponent_overflow;
      return false;
    }
    stack.push_double(exact);
    return true;
  }
  bool on_bool(bool value, json::error_code&) {
    stack.push_bool(value);
    return true;
  }
  bool on_null(json::error_code&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  std::array<unsigned char, kStackBytes> buffer;
  json::value_stack stack;
};

}  // namespace

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max)
    return fail(Errc::too_large,
                fmt::format("JSON of {} bytes, the limit is {}", text.size(), limits.bytes_max));
  json::parse_options options;
  options.max_depth = limits.depth_max;
  try {
    json::error_code error;
    Json out;
    json::storage_ptr storage;
    if (limits.arena) {
      // The values point to it without owning it: an owning pointer in each would be counted up and down, and
      // their destructors would walk all of them (measured: half of the time of a prompt of 100 KB).
      const std::size_t first_block = std::clamp<std::size_t>(2 * text.size(), 1u << 10, 1u << 20);
      const auto arena = std::make_shared<json::monotonic_resource>(first_block);
      storage = json::storage_ptr(arena.get());
      out.arena_ = arena;
    }
    json::basic_parser<Handler> parser(options, std::move(storage));
    const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
    if (!error && used < text.size()) error = json::error::extra_data;
    if (error == json::error::too_deep)
      return fail(Errc::too_large, fmt::format("JSON nested deeper than {} levels", limits.depth_max));
    if (error == json::error::exponent_overflow)
      return fail(Errc::bad_request, "not valid JSON: a number is out of range");
    if (error) return fail(Errc::bad_request, fmt::format("not valid JSON: {}", error.message()));
    out.value_ = std::make_unique<json::value>(parser.handler().stack.release());
    return out;
  } catch (const std::exception& exception) {  // out of memory, a string beyond the library's own limit
    return fail(Errc::too_large, fmt::format("JSON cannot be read: {}", exception.what()));
  }
}

}  // namespace atelier::comfy
