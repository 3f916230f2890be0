// SPDX-License-Identifier: MIT
#pragma once
// Places where a test may end the process as `kill -9` would (reliability.md B1). ATELIER_CRASH_AT="point:n"
// ends it with status 137 at the n-th passing of that point (n from 1, default 1). Always compiled in; when
// the variable is not set a passing costs one relaxed load. Any thread.

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

namespace atelier {
namespace crash_points {

struct Armed {
  std::string point;
  std::atomic<long> left;
};

inline Armed* read_environment() {
  const char* text = std::getenv("ATELIER_CRASH_AT");
  if (text == nullptr || *text == '\0') return nullptr;
  const std::string_view value = text;
  const std::size_t colon = value.rfind(':');
  const long passings = colon == std::string_view::npos ? 1 : std::strtol(text + colon + 1, nullptr, 10);
  return new Armed{std::string(value.substr(0, colon)), passings};  // lives as long as the process
}

inline std::atomic<Armed*> armed{read_environment()};

}  // namespace crash_points

inline void crash_point(std::string_view name) {
  crash_points::Armed* armed = crash_points::armed.load(std::memory_order_relaxed);
  if (armed == nullptr || armed->point != name) return;
  if (armed->left.fetch_sub(1, std::memory_order_relaxed) == 1) ::_exit(137);
}

}  // namespace atelier
