// SPDX-License-Identifier: MIT
#include "comfy/json_printer.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <random>
#include <string>

#include "comfy/json.hpp"

namespace atelier::comfy {
namespace {

/// A string of ASCII as JSON has it, byte by byte; DEL is escaped where all but ASCII is (Python).
std::string quoted(std::string_view text, bool ascii) {
  std::string out = "\"";
  for (const char c : text) {
    const std::string_view named = "\b\f\n\r\t", letters = "bfnrt";
    if (c == '"' || c == '\\') {
      out += fmt::format("\\{}", c);
    } else if (const std::size_t at = named.find(c); at != std::string_view::npos) {
      out += fmt::format("\\{}", letters[at]);
    } else if (static_cast<unsigned char>(c) < 0x20 || (c == '\x7f' && ascii)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

TEST_CASE(
    "a string of every length is printed with every byte at every place, behind what is there already") {
  for (std::size_t length = 0; length <= 40; ++length) {
    for (std::size_t place = 0; place < std::max<std::size_t>(length, 1); ++place) {
      for (int byte = 0; byte < 0x80; ++byte) {
        std::string text(length, 'x');
        if (length > 0) text[place] = static_cast<char>(byte);
        for (const bool ascii : {false, true}) {
          std::string out = "before";
          print_json_string(text, JsonStyle{.ascii = ascii}, out);
          if (out == "before" + quoted(text, ascii)) continue;
          CAPTURE(length);
          CAPTURE(place);
          CAPTURE(byte);
          FAIL_CHECK(out);
        }
      }
    }
  }
}

TEST_CASE("what is not ASCII is printed as it is, or in escapes, at every place") {
  for (std::size_t before = 0; before <= 20; ++before) {
    const std::string text = std::string(before, 'x') + "\u00e4\u20ac\U0001F600" + std::string(before, 'y');
    std::string out;
    print_json_string(text, {}, out);
    CHECK(out == '"' + text + '"');
    out.clear();
    print_json_string(text, JsonStyle{.ascii = true}, out);
    CHECK(out ==
          '"' + std::string(before, 'x') + R"(\u00e4\u20ac\ud83d\ude00)" + std::string(before, 'y') + '"');
  }
}

TEST_CASE("what is printed into a string with room stays where it is") {
  std::string out = "head";
  out.reserve(100'000);
  const char* const place = out.data();
  print_json_string(std::string(80'000, 'x'), {}, out);
  print_json_string("tail", {}, out);
  CHECK(out.data() == place);
  CHECK(out.capacity() == 100'000);
  CHECK(out == "head\"" + std::string(80'000, 'x') + "\"\"tail\"");
}

TEST_CASE("a printed document is read back as it was") {
  std::mt19937 random(7);
  const auto text = [&random] {
    std::string out;
    for (std::size_t i = random() % 30; i > 0; --i) out += static_cast<char>(random() % 0x80);
    return out;
  };
  for (int round = 0; round < 300; ++round) {
    boost::json::object object;
    for (std::size_t i = random() % 12; i > 0; --i) {
      boost::json::value value;
      switch (random() % 5) {
        case 0:
          value = text();
          break;
        case 1:
          value = static_cast<std::int64_t>(random()) - (std::int64_t{1} << 31);
          break;
        case 2:
          value = static_cast<double>(random()) / 3;
          break;
        case 3:
          value = boost::json::array{text(), nullptr, true, boost::json::object{{text(), text()}}};
          break;
        default:
          value = UINT64_MAX - random();
      }
      object[text()] = std::move(value);
    }
    const auto read = Json::parse(print_json(object));
    REQUIRE(read);
    CHECK(read->value() == boost::json::value(object));
  }
}

}  // namespace
}  // namespace atelier::comfy
