// SPDX-License-Identifier: MIT
#include "rehearsal/options.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "rehearsal/node.hpp"

using atelier::rehearsal::parse_command_line;

TEST_CASE("options take their value after a space or an equals sign") {
  const auto line = parse_command_line(
      {"--port", "0", "--dir=/tmp/x", "--step-ms", "250", "--with-parent", "--name", "demo"});
  REQUIRE(line.has_value());
  CHECK(line->port == 0);
  CHECK(line->directory == "/tmp/x");
  CHECK(line->step_time.count() == 250);
  CHECK(line->with_parent);
  CHECK(line->name == "demo");
  CHECK(line->listen == "127.0.0.1");
}

TEST_CASE("all mistakes are told at once") {
  const auto line = parse_command_line({"--port", "70000", "--prot", "--step-ms=soon", "--name"});
  REQUIRE_FALSE(line.has_value());
  CHECK(line.error().size() == 4);
}

TEST_CASE("the help names every node, in lines that fit") {
  std::string text(atelier::rehearsal::help_text());
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
    CHECK(end - at <= 110);
  std::ranges::replace_if(text, [](char letter) { return letter == '\n' || letter == '.'; }, ' ');
  for (const auto& node : atelier::rehearsal::node_classes()) {
    CAPTURE(node.name);
    CHECK(text.contains(fmt::format(" {} ", node.name)));
  }
}
