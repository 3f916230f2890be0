// SPDX-License-Identifier: MIT
#include "core/estimates.hpp"

#include <doctest/doctest.h>

namespace atelier::core {
namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;

TEST_CASE("a load nobody saw is guessed by the bytes of its models and the loads seen") {
  Estimates estimates;
  estimates.know_sizes({"small", "large", "unsized"}, {4 * kGiB, 40 * kGiB, 0});
  const auto* small = estimates.know(1, {"small"}, {"A"});
  const auto* large = estimates.know(2, {"large"}, {"A"});
  const auto* unsized = estimates.know(3, {"unsized"}, {"A"});
  estimates.add(1, 1000, false, 2'000);
  const std::uint64_t before = estimates.load_ms(*large);
  for (int i = 0; i < 8; ++i) estimates.add(1, 1000, true, 10'000);  // 8 s of it for 4 GiB
  CHECK(estimates.load_ms(*small) == 8'000);
  CHECK(estimates.load_ms(*large) != before);
  CHECK(estimates.load_ms(*large) == doctest::Approx(80'000).epsilon(0.001));
  CHECK(estimates.load_ms(*unsized) == 8'000);  // as others of its classes
}

TEST_CASE("sizes that come after the jobs count, too") {
  Estimates estimates;
  const auto* large = estimates.know(2, {"large"}, {"A"});
  estimates.know(1, {"small"}, {"A"});
  estimates.know_sizes({"small", "large"}, {4 * kGiB, 40 * kGiB});
  estimates.add(1, 1000, false, 2'000);
  for (int i = 0; i < 8; ++i) estimates.add(1, 1000, true, 10'000);
  CHECK(estimates.load_ms(*large) == doctest::Approx(80'000).epsilon(0.001));
}

TEST_CASE("a workflow that always loaded takes, load and run together, what it took") {
  Estimates estimates;
  const auto* other = estimates.know(1, {"m"}, {"A"});
  const auto* known = estimates.know(2, {"m"}, {"A"});
  estimates.add(1, 1000, false, 5'000);
  for (int i = 0; i < 3; ++i) estimates.add(2, 1000, true, 90'000);
  CHECK(estimates.run_ms(*other, 1000) == 5'000);
  CHECK(estimates.run_ms(*known, 1000) + estimates.load_ms(*known) == 90'000);
}

}  // namespace
}  // namespace atelier::core
