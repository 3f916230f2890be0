// SPDX-License-Identifier: MIT
#include "net/range.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "net/http.hpp"

namespace atelier::net {
namespace {

/// Decimal digits only; values above 2^63 are capped, which no file reaches.
std::optional<std::uint64_t> number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = std::min<std::uint64_t>(value * 10 + static_cast<std::uint64_t>(c - '0'), std::uint64_t{1} << 58);
  }
  return value;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool if_range_holds(std::string_view value, std::string_view etag, std::optional<std::int64_t> modified) {
  if (value.starts_with('"')) return value == etag;
  if (value.starts_with("W/")) return false;
  const auto date = parse_http_date(value);
  return date && modified && *date == *modified;
}

}  // namespace

RangeDecision decide_range(const HeaderList& request, std::uint64_t size, std::string_view etag,
                           std::optional<std::int64_t> modified) {
  const RangeDecision whole{RangeDecision::Kind::whole, {0, size}};
  if (request.count("Range") != 1) return whole;
  if (const auto condition = request.find("If-Range");
      condition && !if_range_holds(*condition, etag, modified)) {
    return whole;
  }
  std::string_view value = request.get("Range");
  if (value.size() < 6 || !equal_without_case(value.substr(0, 6), "bytes=")) return whole;
  value = trimmed(value.substr(6));
  const std::size_t dash = value.find('-');
  if (dash == std::string_view::npos) return whole;
  const std::string_view first_text = value.substr(0, dash);
  const std::string_view last_text = value.substr(dash + 1);
  const auto first = number(first_text);
  const auto last = number(last_text);
  if ((!first && !first_text.empty()) || (!last && !last_text.empty()) || (!first && !last)) return whole;
  const RangeDecision unsatisfiable{RangeDecision::Kind::unsatisfiable, {0, 0}};
  if (!first) {  // the last n bytes
    if (*last == 0 || size == 0) return unsatisfiable;
    const std::uint64_t count = std::min(*last, size);
    return {RangeDecision::Kind::partial, {size - count, count}};
  }
  if (last && *last < *first) return whole;
  if (*first >= size) return unsatisfiable;
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {RangeDecision::Kind::partial, {*first, end - *first + 1}};
}

std::string content_range(const RangeDecision& decision, std::uint64_t size) {
  if (decision.kind == RangeDecision::Kind::unsatisfiable) return fmt::format("bytes */{}", size);
  const ByteRange& range = decision.range;
  return fmt::format("bytes {}-{}/{}", range.first, range.first + range.length - 1, size);
}

bool etag_in_list(std::string_view list, std::string_view etag) {
  list = trimmed(list);
  if (list == "*") return true;
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  // Tags may hold commas, so they are taken from quote to quote.
  while (true) {
    const std::size_t open = list.find('"');
    if (open == std::string_view::npos) return false;
    const std::size_t close = list.find('"', open + 1);
    if (close == std::string_view::npos) return false;
    if (list.substr(open, close - open + 1) == etag) return true;
    list.remove_prefix(close + 1);
  }
}

bool precondition_fails(const HeaderList& request, std::string_view etag,
                        std::optional<std::int64_t> modified) {
  if (const auto list = request.find("If-Match")) return etag.empty() || !etag_in_list(*list, etag);
  const auto since = request.find("If-Unmodified-Since");
  if (!since || !modified) return false;
  const auto date = parse_http_date(*since);
  return date && *modified > *date;
}

bool is_not_modified(const HeaderList& request, std::string_view etag, std::optional<std::int64_t> modified) {
  if (const auto list = request.find("If-None-Match")) return !etag.empty() && etag_in_list(*list, etag);
  const auto since = request.find("If-Modified-Since");
  if (!since || !modified) return false;
  const auto date = parse_http_date(*since);
  return date && *modified <= *date;
}

}  // namespace atelier::net
