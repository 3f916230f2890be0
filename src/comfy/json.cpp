// SPDX-License-Identifier: MIT
#include "comfy/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
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

constexpr std::size_t kStep = sizeof(std::uint64_t);

/// Some bytes at once: none of them is a control character, a quote or a backslash (nor, if `ascii`, DEL or
/// part of anything but ASCII).
template <class Word>
bool all_plain(Word bytes, bool ascii) {
  constexpr auto kOnes = static_cast<Word>(0x0101'0101'0101'0101ULL);
  const Word quote = bytes ^ (kOnes * '"'), backslash = bytes ^ (kOnes * '\\');
  const Word odd = ((bytes - kOnes * 0x20) & ~bytes) | ((quote - kOnes) & ~quote) |
                   ((backslash - kOnes) & ~backslash) | (ascii ? bytes | (bytes + kOnes) : 0);
  return (odd & (kOnes * 0x80)) == 0;
}

/// Writes JSON text behind what a string holds already.
class Printer {
 public:
  Printer(JsonStyle style, std::string& out, const JsonIntercept* intercept)
      : style_(style), out_(out), intercept_(intercept) {
    open();
  }
  ~Printer() { close(); }
  Printer(const Printer&) = delete;
  Printer& operator=(const Printer&) = delete;

  void value(const json::value& value) {
    switch (value.kind()) {
      case json::kind::null:
        return raw("null");
      case json::kind::bool_:
        return raw(value.get_bool() ? "true" : "false");
      case json::kind::int64:
        return integer(value.get_int64());
      case json::kind::uint64:
        return integer(value.get_uint64());
      case json::kind::double_:
        return raw(std::isfinite(value.get_double()) ? python_float_repr(value.get_double()) : "null");
      case json::kind::string:
        if (!intercepted(value)) string(standard(value.get_string()));
        return;
      case json::kind::array:
        if (!intercepted(value)) array(value.get_array());
        return;
      case json::kind::object:
        return object(value.get_object());
    }
  }

  void object(const json::object& object) {
    byte('{');
    bool first = true;
    for (const auto& member : object) {
      if (!first) mark(',');
      first = false;
      string(standard(member.key()));
      mark(':');
      value(member.value());
    }
    byte('}');
  }

  void string(std::string_view text) {
    room(text.size() + 2);
    *at_++ = '"';
    while (true) {
      text.remove_prefix(plain(text));
      if (text.empty()) break;
      text.remove_prefix(escaped(text));
    }
    *at_++ = '"';
  }

 private:
  static std::string_view standard(json::string_view text) { return {text.data(), text.size()}; }

  void open() {
    at_ = out_.data() + out_.size();
    end_ = at_;
  }
  void close() {
    if (at_ != nullptr) out_.resize(static_cast<std::size_t>(at_ - out_.data()));
  }

  /// `count` bytes may be written at at_.
  [[gnu::always_inline]] void room(std::size_t count) {
    if (static_cast<std::size_t>(end_ - at_) < count) grow(count);
  }
  [[gnu::noinline]] void grow(std::size_t count) {
    const auto used = static_cast<std::size_t>(at_ - out_.data());
    const std::size_t needed = used + count;
    const std::size_t size = needed <= out_.capacity() ? out_.capacity() : std::max(needed, 2 * used);
    // The bytes beyond what is written are nobody's until close() cuts them off.
    out_.resize_and_overwrite(size, [size](char*, std::size_t) { return size; });
    at_ = out_.data() + used;
    end_ = out_.data() + size;
  }

  void mark(char c) {
    room(2);
    *at_++ = c;
    if (style_.spaces) *at_++ = ' ';
  }
  void byte(char c) {
    room(1);
    *at_++ = c;
  }
  void raw(std::string_view text) {
    room(text.size());
    at_ = std::copy_n(text.data(), text.size(), at_);
  }
  template <class Integer>
  void integer(Integer value) {
    constexpr std::size_t kDigitsMax = 20;
    room(kDigitsMax);
    at_ = std::to_chars(at_, at_ + kDigitsMax, value).ptr;
  }
  void array(const json::array& array) {
    byte('[');
    bool first = true;
    for (const auto& item : array) {
      if (!first) mark(',');
      first = false;
      value(item);
    }
    byte(']');
  }

  bool intercepted(const json::value& value) {
    if (intercept_ == nullptr) return false;
    close();
    at_ = nullptr;  // it may take the string away, or throw
    const bool done = (*intercept_)(value, out_);
    open();
    return done;
  }

  /// Copies the bytes of `text` that stand for themselves, up to the first other one; there is room for all.
  std::size_t plain(std::string_view text) {
    char* const to = at_;  // a member would be written to memory with every byte
    const bool ascii = style_.ascii;
    const std::size_t size = text.size();
    std::size_t done = 0;
    const auto copies = [&]<class Word>(Word bytes, std::size_t from) {
      std::memcpy(&bytes, text.data() + from, sizeof bytes);
      if (!all_plain(bytes, ascii)) return false;
      std::memcpy(to + from, &bytes, sizeof bytes);
      return true;
    };
    while (done + kStep <= size && copies(std::uint64_t{0}, done)) done += kStep;
    // The last few once more with some before them.
    if (size >= kStep && size - done < kStep && copies(std::uint64_t{0}, size - kStep)) done = size;
    if (size >= kStep / 2 && size < kStep && copies(std::uint32_t{0}, 0) &&
        copies(std::uint32_t{0}, size - kStep / 2))
      done = size;
    for (; done < size; ++done) {
      const auto next = static_cast<unsigned char>(text[done]);
      if (next < 0x20 || next == '"' || next == '\\' || (next >= 0x7F && ascii)) break;
      to[done] = text[done];
    }
    at_ = to + done;
    return done;
  }

  /// Writes the first character of `rest`, which does not stand for itself; gives its bytes.
  std::size_t escaped(std::string_view rest) {
    constexpr std::size_t kLongest = 12;  // two \uXXXX
    room(rest.size() + kLongest + 1);
    const auto two = [this](char c) {
      *at_++ = '\\';
      *at_++ = c;
      return std::size_t{1};
    };
    switch (rest.front()) {
      case '"':
      case '\\':
        return two(rest.front());
      case '\n':
        return two('n');
      case '\r':
        return two('r');
      case '\t':
        return two('t');
      case '\b':
        return two('b');
      case '\f':
        return two('f');
      default: {
        const CodePoint point = read_utf8(rest, 0);
        if (point.value >= 0x10000) {
          const char32_t low = point.value - 0x10000;
          at_ = fmt::format_to(at_, "\\u{:04x}\\u{:04x}", 0xD800 + std::uint32_t{low >> 10},
                               0xDC00 + std::uint32_t{low & 0x3FF});
        } else {
          at_ = fmt::format_to(at_, "\\u{:04x}", std::uint32_t{point.value});
        }
        return point.bytes;
      }
    }
  }

  JsonStyle style_;
  std::string& out_;
  const JsonIntercept* intercept_;
  char *at_ = nullptr, *end_ = nullptr;  // inside out_, which is longer meanwhile than what is written
};

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
  Printer(style, out, nullptr).string(text);
}

void print_json_to(const json::value& value, JsonStyle style, std::string& out,
                   const JsonIntercept* intercept) {
  Printer(style, out, intercept).value(value);
}

}  // namespace atelier::comfy
