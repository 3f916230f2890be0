// SPDX-License-Identifier: MIT
#include "gateway/access.hpp"

#include <algorithm>
#include <charconv>

namespace atelier::gateway {
namespace {

bool is_ip_literal(std::string_view host) {
  if (host.starts_with('[')) {
    return host.size() > 3 && host.ends_with(']') &&
           std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) {
             return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' ||
                    c == '.';
           });
  }
  int parts = 0;
  while (!host.empty() && parts < 4) {
    const std::size_t dot = host.find('.');
    const std::string_view part = host.substr(0, dot);
    unsigned value = 256;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc{} || end != part.data() + part.size() || value > 255) return false;
    ++parts;
    if (dot == std::string_view::npos) return parts == 4;
    host.remove_prefix(dot + 1);
  }
  return false;
}

/// "a.example" is below "example".
bool is_below(std::string_view name, std::string_view domain) {
  return name.size() > domain.size() + 1 && name[name.size() - domain.size() - 1] == '.' &&
         net::equal_without_case(name.substr(name.size() - domain.size()), domain);
}

}  // namespace

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return host;
    const std::string_view rest = host.substr(end + 1);
    return rest.empty() || rest.starts_with(':') ? host.substr(0, end + 1) : host;
  }
  return host.substr(0, host.rfind(':'));
}

bool host_accepted(std::string_view host, std::string_view domain) {
  const std::string_view name = without_port(host);
  if (name.empty()) return false;
  if (net::equal_without_case(name, "localhost") || is_ip_literal(name)) return true;
  if (is_below(name, "localhost")) return true;  // RFC 6761 6.3: always this machine
  if (domain.empty()) return false;
  return net::equal_without_case(name, domain) || is_below(name, domain);
}

bool origin_accepted(const net::Request& request) {
  const bool changes = request.method != net::Method::get && request.method != net::Method::options;
  const bool strict = changes || request.wants_websocket();
  const std::string_view site = request.headers.get("Sec-Fetch-Site");
  const bool follows_link = !strict && request.headers.get("Sec-Fetch-Mode") == "navigate" &&
                            request.headers.get("Sec-Fetch-Dest") == "document";
  if (site == "cross-site" && !follows_link) return false;
  if (site == "same-site" && strict) return false;
  const auto origin = request.headers.find("Origin");
  if (!origin || follows_link) return true;
  const std::size_t scheme = origin->find("://");
  if (scheme == std::string_view::npos) return false;  // "null" and nonsense
  return net::equal_without_case(origin->substr(scheme + 3), request.host);
}

std::string_view take_participant(std::string_view& path) {
  path.remove_prefix(kUserRoot.size());
  const std::size_t slash = path.find('/');
  const std::string_view number = path.substr(0, slash);
  path.remove_prefix(slash == std::string_view::npos ? path.size() : slash);
  return number;
}

std::optional<std::uint64_t> parse_canonical(std::string_view text, std::uint64_t max) {
  if (text.empty() || text.size() > 19 || text.front() == '0') return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (value > max) return std::nullopt;
  return value;
}

}  // namespace atelier::gateway
