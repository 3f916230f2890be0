// SPDX-License-Identifier: MIT
#pragma once
// The one table of configuration keys (design.md 15): environment variables, one .env file and command-line
// options are three ways to write the same keys. It prints .env.example, the reference page and `atelier
// check-config`. Everything is decoded and checked, and all mistakes are reported together, before anything
// is bound.

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace atelier {

enum class KeyType : std::uint8_t { text, number, duration, bytes, choice, boolean, secret };

/// One key. `unit` is what a plain number means: "s" for durations of old keys, "" = the unit must be
/// written.
struct KeySpec {
  std::string_view name;
  KeyType type;
  std::string_view fallback;  // default, as written; "" = not set
  std::int64_t min, max;      // numbers; milliseconds of durations; bytes
  std::string_view unit;      // of a plain number: "", "s", "ms", "B"
  std::string_view choices;   // "fifo|round_robin|priority"
  std::string_view option;    // further command-line name without dashes: "port"; every key also has its own
  std::string_view help;      // one sentence
};
[[nodiscard]] std::span<const KeySpec> config_keys();
[[nodiscard]] const KeySpec* find_key(std::string_view name);
/// False for keys that are known and checked, because people's .env files have them, but that nothing in this
/// version reads.
[[nodiscard]] bool has_effect(std::string_view name);
/// The help sentence of a key; a second one says so where nothing reads it.
[[nodiscard]] std::string help_of(const KeySpec& key);
/// "NUM_USERS" -> "num-users".
[[nodiscard]] std::string option_name(std::string_view key);

/// Where a value came from, for messages: ".env:12", "environment", "--port".
struct RawValue {
  std::string value;
  std::string where;
};

class Config {
 public:
  /// Later sources win: .env, environment, options. `secret_file` keys (KEY_FILE) are read here.
  struct Sources {
    std::optional<std::string> env_file_text;
    std::string env_file_name = ".env";
    std::map<std::string, std::string> environment;
    std::map<std::string, std::string> options;  // key name -> value
  };
  struct Outcome;
  /// Checks everything. On mistakes `config` holds defaults in their place and must not be used.
  [[nodiscard]] static Outcome read(const Sources& sources);

  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] std::int64_t number(std::string_view key) const;
  [[nodiscard]] milliseconds duration(std::string_view key) const;
  [[nodiscard]] std::uint64_t bytes(std::string_view key) const;
  [[nodiscard]] bool flag(std::string_view key) const;
  [[nodiscard]] bool is_set(std::string_view key) const;  // by a source, not by its default

  /// For .env.example and the reference page.
  [[nodiscard]] static std::string env_example();
  [[nodiscard]] static std::string reference_page();

 private:
  std::map<std::string, RawValue, std::less<>> values_;
  std::map<std::string, std::int64_t, std::less<>> numbers_;
};

struct Config::Outcome {
  Config config;
  std::vector<std::string> mistakes;  // one sentence each; not empty: exit code 2
  std::vector<std::string> warnings;
};

/// "30s", "10min", "500ms", "2h", "1d"; a plain number is in `unit`. Error bad_request.
[[nodiscard]] Result<milliseconds> parse_duration(std::string_view text, std::string_view unit = "");
/// "200MB", "20 GB", "1.5TB" (powers of 1000), "KiB" .. (powers of 1024); a plain number is bytes. Error
/// bad_request.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);
/// Levenshtein distance, at most `limit` + 1.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit);

}  // namespace atelier
