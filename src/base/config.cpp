// SPDX-License-Identifier: MIT
#include "base/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace atelier {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\r'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r'))
    text.remove_suffix(1);
  return text;
}

struct Amount {
  double value = 0;
  std::string_view unit;
};

std::optional<Amount> split_amount(std::string_view text) {
  text = trim(text);
  Amount amount;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount.value);
  if (error != std::errc{} || amount.value < 0 || amount.value > 1e15) return std::nullopt;
  amount.unit = trim(text.substr(static_cast<std::size_t>(end - text.data())));
  return amount;
}

/// The value as it should have been written, for messages about a bound.
std::string printed(const KeySpec& key, std::int64_t value) {
  if (key.type == KeyType::duration) {
    if (value % 3'600'000 == 0) return fmt::format("{}h", value / 3'600'000);
    if (value % 60'000 == 0) return fmt::format("{}min", value / 60'000);
    return fmt::format("{}s", value / 1'000);
  }
  if (key.type == KeyType::bytes) {
    if (value % 1'000'000'000 == 0) return fmt::format("{}GB", value / 1'000'000'000);
    if (value % 1'000'000 == 0) return fmt::format("{}MB", value / 1'000'000);
  }
  return fmt::format("{}", value);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

/// The decoded number (or 0/1), or what is wrong with the value.
Result<std::int64_t> decode(const KeySpec& key, std::string_view value) {
  std::int64_t number = 0;
  switch (key.type) {
    case KeyType::text:
    case KeyType::secret:
      if (value.find('\n') != std::string_view::npos) return fail(Errc::config, "must be one line");
      return 0;
    case KeyType::choice: {
      const auto choices = split(key.choices, '|');
      if (std::ranges::find(choices, value) != choices.end()) return 0;
      std::string list(key.choices);
      for (std::size_t at = 0; (at = list.find('|', at)) != std::string::npos; at += 2)
        list.replace(at, 1, ", ");
      return fail(Errc::config, fmt::format("\"{}\" is none of {}", value, list));
    }
    case KeyType::boolean:
      if (value == "true" || value == "1" || value == "yes" || value == "on") return 1;
      if (value == "false" || value == "0" || value == "no" || value == "off" || value.empty()) return 0;
      return fail(Errc::config, fmt::format("\"{}\" is neither true nor false", value));
    case KeyType::number: {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc{} || end != value.data() + value.size()) {
        return fail(Errc::config, fmt::format("\"{}\" is not a whole number", value));
      }
      break;
    }
    case KeyType::duration: {
      auto parsed = parse_duration(value, key.unit);
      if (!parsed) return fail(Errc::config, parsed.error().what);
      number = parsed->count();
      break;
    }
    case KeyType::bytes: {
      auto parsed = parse_bytes(value);
      if (!parsed) return fail(Errc::config, parsed.error().what);
      number = static_cast<std::int64_t>(std::min<std::uint64_t>(*parsed, INT64_MAX));
      break;
    }
  }
  if (number < key.min)
    return fail(Errc::config,
                fmt::format("\"{}\" is below the minimum \"{}\"", value, printed(key, key.min)));
  if (number > key.max)
    return fail(Errc::config,
                fmt::format("\"{}\" is above the maximum \"{}\"", value, printed(key, key.max)));
  return number;
}

/// The known key that a mistyped one was meant to be.
const KeySpec* near_key(std::string_view name) {
  const KeySpec* nearest = nullptr;
  std::size_t least = 3;
  for (const KeySpec& key : config_keys()) {
    const std::size_t distance = edit_distance(name, key.name, 2);
    if (distance < least) {
      least = distance;
      nearest = &key;
    }
  }
  return nearest;
}

std::string_view without_file_suffix(std::string_view name) {
  return name.ends_with("_FILE") ? name.substr(0, name.size() - 5) : std::string_view{};
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t limit) {
  if (a.size() > b.size()) std::swap(a, b);
  if (b.size() - a.size() > limit) return limit + 1;
  std::vector<std::size_t> row(a.size() + 1);
  for (std::size_t i = 0; i <= a.size(); ++i) row[i] = i;
  for (std::size_t j = 1; j <= b.size(); ++j) {
    std::size_t diagonal = row[0];
    row[0] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
      const std::size_t above = row[i];
      row[i] = std::min({above + 1, row[i - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return std::min(row[a.size()], limit + 1);
}

Result<milliseconds> parse_duration(std::string_view text, std::string_view unit) {
  const auto amount = split_amount(text);
  if (!amount) return fail(Errc::bad_request, fmt::format("\"{}\" is not a time such as 30s or 10min", text));
  const std::string_view written = amount->unit.empty() ? unit : amount->unit;
  double scale = 0;
  if (written == "ms") scale = 1;
  if (written == "s" || written == "sec") scale = 1'000;
  if (written == "min" || written == "m") scale = 60'000;
  if (written == "h") scale = 3'600'000;
  if (written == "d") scale = 86'400'000;
  if (written.empty())
    return fail(Errc::bad_request, fmt::format("\"{}\" needs a unit: ms, s, min, h or d", text));
  if (scale == 0)
    return fail(Errc::bad_request, fmt::format("\"{}\" has an unknown unit: use ms, s, min, h or d", text));
  return milliseconds{static_cast<std::int64_t>(std::min(amount->value * scale, 9e15))};
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto amount = split_amount(text);
  if (!amount)
    return fail(Errc::bad_request, fmt::format("\"{}\" is not a size such as 200MB or 20GB", text));
  std::string unit;
  for (char c : amount->unit) unit.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  double scale = 0;
  if (unit.empty() || unit == "b") scale = 1;
  const std::string_view prefixes = "kmgt";
  double decimal = 1, binary = 1;
  for (char prefix : prefixes) {
    decimal *= 1'000;
    binary *= 1'024;
    if (unit == std::string{prefix} || unit == std::string{prefix, 'b'}) scale = decimal;
    if (unit == std::string{prefix, 'i', 'b'}) scale = binary;
  }
  if (scale == 0)
    return fail(Errc::bad_request, fmt::format("\"{}\" has an unknown unit: use kB, MB, GB or TB", text));
  return static_cast<std::uint64_t>(std::min(amount->value * scale, 9e18));
}

namespace {

/// Whoever reaches the server may use any seat: it listens to other machines only when asked to do so.
void check_access(Config::Outcome& outcome) {
  const std::string access = outcome.config.text("ACCESS");
  const std::string listen = outcome.config.text("LISTEN");
  if (access == "code") {
    outcome.mistakes.emplace_back(
        "ACCESS: \"code\" is not available in this version; use token, open or auto");
  } else if (access == "auto" && listen != "localhost" && listen != "::1" && !listen.starts_with("127.")) {
    outcome.mistakes.push_back(fmt::format(
        "LISTEN: whoever reaches {} could use any seat; set ACCESS=token, or ACCESS=open if that is meant",
        listen));
  }
}

/// A certificate needs its key; the ports of the seats must exist and be nobody else's.
void check_ports(Config::Outcome& outcome) {
  const Config& config = outcome.config;
  const bool certificate = !config.text("SSL_CERT_PATH").empty(), key = !config.text("SSL_KEY_PATH").empty();
  if (certificate != key) {
    outcome.mistakes.push_back(fmt::format("{}: needs {}, too",
                                           certificate ? "SSL_CERT_PATH" : "SSL_KEY_PATH",
                                           certificate ? "SSL_KEY_PATH" : "SSL_CERT_PATH"));
  } else if (!certificate && config.is_set("HTTPS_PORT") && config.number("HTTPS_PORT") != 0) {
    outcome.mistakes.emplace_back("HTTPS_PORT: needs SSL_CERT_PATH and SSL_KEY_PATH");
  }
  const std::int64_t http = config.number("HTTP_PORT"), https = certificate ? config.number("HTTPS_PORT") : 0;
  if (http != 0 && http == https)
    outcome.mistakes.push_back(fmt::format("HTTPS_PORT: {} is HTTP_PORT already", https));
  const std::int64_t first = config.number("SEAT_PORTS"), last = first + config.number("NUM_USERS") - 1;
  if (first == 0) return;
  if (last > 65'535) {
    outcome.mistakes.push_back(
        fmt::format("SEAT_PORTS: {} seats from {} on would need ports up to {}, the highest is 65535",
                    config.number("NUM_USERS"), first, last));
  }
  for (const auto& [port, name] : {std::pair(http, "HTTP_PORT"), std::pair(https, "HTTPS_PORT")}) {
    if (port >= first && port <= last && port != 0)
      outcome.mistakes.push_back(fmt::format("SEAT_PORTS: the seats take the ports {} to {}, and {} is {}",
                                             first, last, name, port));
  }
}

}  // namespace

Config::Outcome Config::read(const Sources& sources) {
  Outcome outcome;
  auto set = [&](std::string_view name, std::string_view value, const std::string& where, bool strict) {
    const KeySpec* key = find_key(name);
    std::string text(value);
    if (key == nullptr) {
      const KeySpec* base = find_key(without_file_suffix(name));
      if (base != nullptr && base->type == KeyType::secret) {
        std::ifstream file{text};
        std::ostringstream bytes;
        bytes << file.rdbuf();
        if (!file) {
          outcome.mistakes.push_back(fmt::format("{}: {}: cannot read the file \"{}\"", where, name, text));
          return;
        }
        text = std::string(trim(bytes.str().substr(0, bytes.str().find('\n'))));
        outcome.config.values_[std::string(base->name)] = RawValue{text, where};
        return;
      }
      const KeySpec* meant = near_key(name);
      if (meant != nullptr) {
        outcome.mistakes.push_back(
            fmt::format("{}: {} is not a key; did you mean {}?", where, name, meant->name));
      } else if (strict) {
        outcome.warnings.push_back(
            fmt::format("{}: {} is not a key of Atelier; the line is ignored", where, name));
      }
      return;
    }
    outcome.config.values_[std::string(name)] = RawValue{std::move(text), where};
  };

  if (sources.env_file_text) {
    std::size_t number = 0;
    std::map<std::string, std::size_t, std::less<>> seen;
    for (std::string_view line : split(*sources.env_file_text, '\n')) {
      ++number;
      line = trim(line);
      if (line.empty() || line.front() == '#') continue;
      if (line.starts_with("export ")) line = trim(line.substr(7));
      const std::string where = fmt::format("{}:{}", sources.env_file_name, number);
      const std::size_t equals = line.find('=');
      if (equals == std::string_view::npos) {
        outcome.mistakes.push_back(fmt::format("{}: \"{}\" is not KEY=value", where, line.substr(0, 60)));
        continue;
      }
      const std::string_view name = trim(line.substr(0, equals));
      std::string_view value = trim(line.substr(equals + 1));
      if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
          value.back() == value.front()) {
        value = value.substr(1, value.size() - 2);
      } else if (const std::size_t comment = value.find(" #"); comment != std::string_view::npos) {
        value = trim(value.substr(0, comment));
      }
      const auto [before, fresh] = seen.emplace(std::string(name), number);
      if (!fresh)
        outcome.mistakes.push_back(
            fmt::format("{}: {} stands already in line {}", where, name, before->second));
      set(name, value, where, true);
    }
  }
  for (const auto& [name, value] : sources.environment) set(name, value, "environment", false);
  for (const auto& [name, value] : sources.options) set(name, value, "--" + option_name(name), true);

  for (const KeySpec& key : config_keys()) {
    const auto found = outcome.config.values_.find(key.name);
    const bool given = found != outcome.config.values_.end() && !found->second.value.empty();
    if (!given && key.fallback.empty()) continue;
    auto number = decode(key, given ? std::string_view(found->second.value) : key.fallback);
    if (!number) {
      outcome.mistakes.push_back(
          fmt::format("{}: {}: {}", found->second.where, key.name, number.error().what));
      continue;
    }
    outcome.config.numbers_[std::string(key.name)] = *number;
    if (given && !has_effect(key.name) && found->second.value != key.fallback) {
      outcome.warnings.push_back(
          fmt::format("{}: {} has no effect in this version", found->second.where, key.name));
    }
  }
  check_access(outcome);
  check_ports(outcome);
  return outcome;
}

std::string Config::text(std::string_view key) const {
  const auto found = values_.find(key);
  if (found != values_.end() && !found->second.value.empty()) return found->second.value;
  const KeySpec* spec = find_key(key);
  return spec == nullptr ? std::string{} : std::string(spec->fallback);
}

std::int64_t Config::number(std::string_view key) const {
  const auto found = numbers_.find(key);
  return found == numbers_.end() ? 0 : found->second;
}
milliseconds Config::duration(std::string_view key) const { return milliseconds{number(key)}; }
std::uint64_t Config::bytes(std::string_view key) const { return static_cast<std::uint64_t>(number(key)); }
bool Config::flag(std::string_view key) const { return number(key) != 0; }
bool Config::is_set(std::string_view key) const {
  const auto found = values_.find(key);
  return found != values_.end() && !found->second.value.empty();
}

std::string Config::env_example() {
  std::string text =
      "# Atelier: every key with its default. Secrets may also come from files: KEY_FILE=/path.\n";
  for (const KeySpec& key : config_keys()) {
    text += fmt::format("\n# {}\n", help_of(key));
    if (!key.choices.empty()) text += fmt::format("# One of: {}\n", key.choices);
    text += fmt::format("#{}={}\n", key.name, key.fallback);
  }
  return text;
}

std::string Config::reference_page() {
  std::string page =
      "# Configuration\n\nEnvironment variables, a `.env` file in the working folder, or options; later ones "
      "win in this "
      "order.\n\n| key | option | default | range | what it is |\n| --- | --- | --- | --- | --- |\n";
  for (const KeySpec& key : config_keys()) {
    std::string range(key.choices);
    for (std::size_t at = 0; (at = range.find('|', at)) != std::string::npos; at += 2)
      range.replace(at, 1, ", ");
    if (key.max > 0) range = fmt::format("{} .. {}", printed(key, key.min), printed(key, key.max));
    page += fmt::format("| `{}` | `--{}` | {} | {} | {} |\n", key.name,
                        key.option.empty() ? option_name(key.name) : std::string(key.option), key.fallback,
                        range, help_of(key));
  }
  return page;
}

}  // namespace atelier
