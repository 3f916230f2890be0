// SPDX-License-Identifier: MIT
#include "base/duration_text.hpp"

#include <fmt/format.h>

namespace atelier {

std::string duration_text(milliseconds duration) {
  const std::int64_t seconds = (duration.count() + 999) / 1'000;
  std::string text;
  const auto add = [&text](std::int64_t count, const char* unit) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : " ", count, unit);
  };
  add(seconds / 3'600, "h");
  add(seconds / 60 % 60, "min");
  add(seconds % 60, "s");
  return text.empty() ? "0 s" : text;
}

std::string time_limit_text(milliseconds limit) {
  return fmt::format("Stopped after {}, the longest time a job may run here.", duration_text(limit));
}

}  // namespace atelier
