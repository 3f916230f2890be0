// SPDX-License-Identifier: MIT
#include "base/log.hpp"

#include <unistd.h>

#include <atomic>
#include <ctime>

namespace atelier::log {
namespace {

std::atomic<Level> least_level{Level::info};

std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info ";
    case Level::warn:
      return "warn ";
    case Level::error:
      return "error";
  }
  return "?";
}

void append_value(std::string& line, std::string_view value) {
  bool plain = !value.empty();
  for (char c : value)
    plain = plain && static_cast<unsigned char>(c) > ' ' && c != '"' && c != '\\' && c != 127;
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (byte < ' ' || byte == 127) {
      line += fmt::format("\\x{:02x}", byte);
    } else {
      line += c;
    }
  }
  line += '"';
}

}  // namespace

void set_level(Level level) { least_level = level; }

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  std::string line = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z {} {}", parts.tm_year + 1900,
                                 parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                                 now.tv_nsec / 1'000'000, name_of(level), event);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  line += '\n';
  [[maybe_unused]] auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace atelier::log
