// SPDX-License-Identifier: MIT
#pragma once
// One line per decision: a fixed event name, then key=value (style.md 9). No tokens, prompts or file
// contents.

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace atelier::log {

enum class Level { debug, info, warn, error };

/// One `key=value`. Values with spaces or quotes are printed quoted.
struct Field {
  template <class T>
  Field(std::string_view name, const T& v) : key(name), value(fmt::format("{}", v)) {}
  std::string_view key;
  std::string value;
};

/// Lines below `level` are dropped. Default info. Set once, before threads start.
void set_level(Level level);

/// Writes one line to standard error with a single write(2). Any thread.
void write(Level level, std::string_view event, std::initializer_list<Field> fields);

inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::debug, event, fields);
}
inline void info(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::info, event, fields);
}
inline void warn(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::warn, event, fields);
}
inline void error(std::string_view event, std::initializer_list<Field> fields = {}) {
  write(Level::error, event, fields);
}

}  // namespace atelier::log
