// SPDX-License-Identifier: MIT
#include "base/crash_point.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>

namespace atelier {
namespace {

/// The exit status of a child in which `point` is armed to end it at the `passings`-th passing and passed
/// three times.
int status_of_child(const char* point, long passings) {
  const pid_t child = fork();
  if (child == 0) {
    crash_points::armed.store(new crash_points::Armed{"here", passings});
    for (int i = 0; i < 3; ++i) crash_point(point);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST_CASE("a crash point ends the process at its n-th passing and at no other point") {
  CHECK(status_of_child("here", 1) == 137);
  CHECK(status_of_child("here", 3) == 137);
  CHECK(status_of_child("here", 4) == 0);
  CHECK(status_of_child("elsewhere", 1) == 0);
}

TEST_CASE("the environment names a point and a passing") {
  setenv("ATELIER_CRASH_AT", "journal_before_commit:17", 1);
  auto* armed = crash_points::read_environment();
  REQUIRE(armed != nullptr);
  CHECK(armed->point == "journal_before_commit");
  CHECK(armed->left.load() == 17);
  delete armed;
  setenv("ATELIER_CRASH_AT", "once", 1);
  armed = crash_points::read_environment();
  REQUIRE(armed != nullptr);
  CHECK(armed->left.load() == 1);
  delete armed;
  unsetenv("ATELIER_CRASH_AT");
  CHECK(crash_points::read_environment() == nullptr);
}

}  // namespace
}  // namespace atelier
