// SPDX-License-Identifier: MIT
#include "agent/nvml.hpp"

#include <doctest/doctest.h>

namespace atelier::agent {

TEST_CASE("NVIDIA's library tells of every GPU what its driver says") {
  const auto nvml = Nvml::load(ATELIER_FAKE_NVML);
  REQUIRE(nvml);
  const auto gpus = nvml->read();
  REQUIRE(gpus);
  REQUIRE(gpus->size() == 2);
  const link::GpuReading whole{"Fake H200", 150'000'000'000, 50'000'000'000, 97, 71, 612'345, {}};
  CHECK(gpus->at(0) == whole);
  const link::GpuReading slice{"Fake slice", 20'000'000'000, 1'000'000'000, {}, 45, {}, {}};
  CHECK(gpus->at(1) == slice);
}

TEST_CASE("without NVIDIA's library, or with another one of its name, nothing is read") {
  CHECK_FALSE(Nvml::load("libno-such-driver.so.1"));
  CHECK_FALSE(Nvml::load("libc.so.6"));
}

}  // namespace atelier::agent
