// SPDX-License-Identifier: MIT
#include "journal/clock.hpp"

#include <doctest/doctest.h>

#include "runtime/virtual_runtime.hpp"

using namespace std::chrono_literals;

namespace atelier::journal {
namespace {

TEST_CASE("a fresh journal's time begins at 0 and goes with the runtime's clock") {
  VirtualRuntime runtime;
  const Clock clock(runtime, {}, {});
  CHECK(clock.now() == Time{0});
  runtime.advance(5s);
  CHECK(clock.now() == Time{5'000});
}

TEST_CASE("time goes on from the last entry, and a gap counts as the wall clock's difference") {
  VirtualRuntime runtime;
  const Clock clock(runtime, {1'000}, runtime.wall() - 60s);
  CHECK(clock.now() == Time{61'000});
  runtime.advance(1s);
  CHECK(clock.now() == Time{62'000});
}

TEST_CASE("a wall clock that was set back does not take time back") {
  VirtualRuntime runtime;
  CHECK(Clock(runtime, {1'000}, runtime.wall() + 24h).now() == Time{1'000});
}

TEST_CASE("another gateway's later entry pushes time on") {
  VirtualRuntime runtime;
  Clock clock(runtime, {1'000}, runtime.wall());
  clock.raise_to({900});
  CHECK(clock.now() == Time{1'000});
  clock.raise_to({5'000});
  CHECK(clock.now() == Time{5'000});
}

}  // namespace
}  // namespace atelier::journal
