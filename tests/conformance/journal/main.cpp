// SPDX-License-Identifier: MIT
// Tests, and two other lives of the same program: the child that is killed, and the maker of a golden
// journal.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <string_view>

#include "lives.hpp"

int main(int count, char** arguments) {
  using namespace std::string_view_literals;
  if (count == 3 && arguments[1] == "--append-until-killed"sv)
    return atelier::journal::append_until_killed(arguments[2]);
  if (count == 3 && arguments[1] == "--make-golden"sv) return atelier::journal::make_golden(arguments[2]);
  return doctest::Context(count, arguments).run();
}
