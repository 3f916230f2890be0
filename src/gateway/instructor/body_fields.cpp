// SPDX-License-Identifier: MIT
#include "gateway/instructor/body_fields.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <set>

namespace atelier::gateway {
namespace json = boost::json;
namespace {

constexpr std::size_t kDepthMax = 8;
constexpr std::size_t kErrorsMax = 50;

/// RFC 6901: '~' and '/' inside a name.
std::string pointer_to(std::string_view name) {
  std::string pointer = "/";
  for (const char c : name) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
  return pointer;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::optional<std::uint64_t> whole(const json::value& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
  // To JSON Schema 7.0 is a whole number, too.
  constexpr double kMax = 9'007'199'254'740'991.0;
  if (value.is_double() && value.get_double() >= 0 && value.get_double() <= kMax &&
      value.get_double() == std::floor(value.get_double()))
    return static_cast<std::uint64_t>(value.get_double());
  return std::nullopt;
}

}  // namespace

std::expected<BodyFields, Problem> BodyFields::parse(std::string_view text) {
  BodyFields fields;
  if (text.empty()) return fields;
  auto parsed = comfy::Json::parse(text, {.bytes_max = text.size(), .depth_max = kDepthMax});
  if (!parsed) return std::unexpected(Problem(400, "The body is not JSON: " + parsed.error().what));
  if (!parsed->is_object()) return std::unexpected(Problem(400, "The body must be a JSON object."));
  fields.body_ = std::move(*parsed);
  return fields;
}

void BodyFields::complain(std::string_view name, std::string detail) {
  if (errors_.size() < kErrorsMax) errors_.push_back({pointer_to(name), std::move(detail)});
}

const json::value* BodyFields::find(std::string_view name) {
  known_.emplace_back(name);
  return std::as_const(body_).object().if_contains(name);
}

void BodyFields::require(std::string_view name) {
  if (std::as_const(body_).object().if_contains(name) == nullptr) complain(name, "must be given");
}

std::optional<bool> BodyFields::boolean(std::string_view name) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->get_bool();
  complain(name, "must be true or false");
  return std::nullopt;
}

std::optional<std::uint64_t> BodyFields::number(std::string_view name, std::uint64_t min, std::uint64_t max) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto given = whole(*value);
  if (given && *given >= min && *given <= max) return given;
  complain(name, fmt::format("must be a whole number from {} to {}", min, max));
  return std::nullopt;
}

std::optional<std::string> BodyFields::text(std::string_view name, std::size_t bytes_max) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string() && value->get_string().size() <= bytes_max)
    return std::string(std::string_view(value->get_string()));
  complain(name, fmt::format("must be a text of at most {} bytes", bytes_max));
  return std::nullopt;
}

std::optional<std::vector<std::string>> BodyFields::words(std::string_view name, std::size_t count_max,
                                                          std::size_t bytes_max) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const auto is_word = [&](const json::value& entry) {
    return entry.is_string() && !entry.get_string().empty() && entry.get_string().size() <= bytes_max &&
           std::ranges::none_of(entry.get_string(), is_control);
  };
  if (!value->is_array() || value->get_array().size() > count_max ||
      !std::ranges::all_of(value->get_array(), is_word)) {
    complain(name,
             fmt::format("must be a list of at most {} texts of 1 to {} bytes without control characters",
                         count_max, bytes_max));
    return std::nullopt;
  }
  std::vector<std::string> words;
  for (const json::value& entry : value->get_array())
    words.emplace_back(std::string_view(entry.get_string()));
  std::ranges::sort(words);
  words.erase(std::ranges::unique(words).begin(), words.end());
  return words;
}

std::vector<JobId> BodyFields::jobs(std::string_view name, std::size_t count_max) {
  const json::value* value = find(name);
  if (value == nullptr) return {};
  const auto is_number = [](const json::value& entry) { return whole(entry).has_value(); };
  if (!value->is_array() || value->get_array().empty() || value->get_array().size() > count_max ||
      !std::ranges::all_of(value->get_array(), is_number)) {
    complain(name, fmt::format("must be a list of 1 to {} whole numbers", count_max));
    return {};
  }
  std::vector<JobId> jobs;
  std::set<JobId> there;
  for (const json::value& entry : value->get_array()) {
    const JobId job{*whole(entry)};
    if (there.insert(job).second) jobs.push_back(job);
  }
  return jobs;
}

std::optional<std::size_t> BodyFields::index_of(std::string_view name,
                                                const std::vector<std::string>& names) {
  const json::value* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) {
    const auto found = std::ranges::find(names, std::string_view(value->get_string()));
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  }
  complain(name, fmt::format("must be one of {}", fmt::join(names, ", ")));
  return std::nullopt;
}

std::optional<Problem> BodyFields::wrong() {
  for (const auto& member : std::as_const(body_).object()) {
    if (std::ranges::find(known_, std::string_view(member.key())) == known_.end())
      complain(member.key(),
               fmt::format("is unknown; known are {}",
                           known_.empty() ? "none" : fmt::format("{}", fmt::join(known_, ", "))));
  }
  if (errors_.empty()) return std::nullopt;
  Problem problem(
      422, fmt::format("{} {}.{} Nothing was changed.", errors_.front().pointer, errors_.front().detail,
                       errors_.size() > 1 ? " There is more: see errors." : ""));
  problem.errors = std::move(errors_);
  return problem;
}

}  // namespace atelier::gateway
