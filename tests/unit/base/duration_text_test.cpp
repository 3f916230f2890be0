// SPDX-License-Identifier: MIT
#include "base/duration_text.hpp"

#include <doctest/doctest.h>

using namespace atelier;  // NOLINT: tests

TEST_CASE("a length of time is said in the units that it has") {
  const auto said = [](std::int64_t ms) { return duration_text(milliseconds{ms}); };
  CHECK(said(0) == "0 s");
  CHECK(said(1) == "1 s");
  CHECK(said(59'001) == "1 min");
  CHECK(said(340'000) == "5 min 40 s");
  CHECK(said(1'800'000) == "30 min");
  CHECK(said(5'400'000) == "1 h 30 min");
  CHECK(said(90'061'000) == "25 h 1 min 1 s");
  CHECK(time_limit_text(milliseconds{1'800'000}) ==
        "Stopped after 30 min, the longest time a job may run here.");
}
