// SPDX-License-Identifier: MIT
#include "gateway/engine_pages/forward.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace atelier::gateway {
namespace {

using net::equal_without_case;

bool starts_without_case(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && equal_without_case(text.substr(0, start.size()), start);
}

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::ranges::any_of(names, [&](std::string_view one) { return equal_without_case(one, name); });
}

// RFC 9110 7.6.1, and what older software writes.
constexpr std::array<std::string_view, 9> kOfOneConnection = {
    "Connection", "Keep-Alive",        "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE",
    "Trailer",    "Transfer-Encoding", "Upgrade"};

bool concerns_connection(const net::HeaderList& headers, std::string_view name) {
  return is_one_of(name, kOfOneConnection) || headers.has_token("Connection", name);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_own_cookie(std::string_view cookie) {
  return starts_without_case(cookie, kOwnCookie) || starts_without_case(cookie, kOwnSecureCookie);
}

std::string foreign_cookies(std::string_view header) {
  std::string kept;
  while (!header.empty()) {
    const std::size_t end = std::min(header.find(';'), header.size());
    const std::string_view one = trimmed(header.substr(0, end));
    header.remove_prefix(std::min(end + 1, header.size()));
    if (one.empty() || is_own_cookie(one)) continue;
    kept += kept.empty() ? "" : "; ";
    kept += one;
  }
  return kept;
}

/// "https://host:1" of "https://host:1/path".
std::string_view origin_of(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  return url.substr(0, url.find_first_of("/?#", scheme + 3));
}

bool is_own_origin(const net::Request& request, std::string_view origin, std::string_view public_url) {
  if (origin.empty()) return false;
  if (equal_without_case(origin, origin_of(public_url))) return true;
  return equal_without_case(origin, fmt::format("{}://{}", request.secure ? "https" : "http", request.host));
}

}  // namespace

bool own_page_asks(const net::Request& request, std::string_view public_url) {
  // A script that stays in the browser would see what the pages of other workers do here.
  if (request.headers.contains("Service-Worker")) return false;
  const auto origin = request.headers.find("Origin");
  const std::string_view site = request.headers.get("Sec-Fetch-Site");
  if (request.method != net::Method::get || request.wants_websocket()) {
    const bool same_site = site.empty() || site == "same-origin";
    return same_site && (origin ? is_own_origin(request, *origin, public_url) : site == "same-origin");
  }
  if (origin && !is_own_origin(request, *origin, public_url)) return false;
  const std::string_view referer = request.headers.get("Referer");
  const bool own = site.empty() ? referer.empty() || is_own_origin(request, origin_of(referer), public_url)
                                : site == "same-origin" || site == "none";
  if (own) return true;
  const bool in_window = site.empty() || (request.headers.get("Sec-Fetch-Mode") == "navigate" &&
                                          request.headers.get("Sec-Fetch-Dest") == "document");
  return in_window && request.target == "/";
}

net::HeaderList headers_to_engine(const net::Request& request) {
  // Authorization is for this workshop, if for anybody.
  constexpr std::array<std::string_view, 9> kLeftOut = {"Host",      "Origin",         "Referer",
                                                        "Cookie",    "Content-Length", "Expect",
                                                        "Forwarded", "X-Real-IP",      "Authorization"};
  net::HeaderList headers;
  for (const auto field : request.headers) {
    if (concerns_connection(request.headers, field.name) || is_one_of(field.name, kLeftOut) ||
        starts_without_case(field.name, "Sec-Fetch-") || starts_without_case(field.name, "Sec-WebSocket-") ||
        starts_without_case(field.name, "X-Forwarded-"))
      continue;
    headers.add(field.name, field.value);
  }
  std::string cookies;
  for (const auto field : request.headers) {
    if (!equal_without_case(field.name, "Cookie")) continue;
    const std::string kept = foreign_cookies(field.value);
    cookies += cookies.empty() || kept.empty() ? "" : "; ";
    cookies += kept;
  }
  if (!cookies.empty()) headers.add("Cookie", cookies);
  return headers;
}

net::HeaderList headers_from_engine(const net::HeaderList& given) {
  // A browser would ask for a name and a password (WWW-Authenticate), and mean this workshop's.
  constexpr std::array<std::string_view, 4> kLeftOut = {"Strict-Transport-Security", "Clear-Site-Data",
                                                        "Alt-Svc", "WWW-Authenticate"};
  net::HeaderList headers;
  for (const auto field : given) {
    if (concerns_connection(given, field.name) || is_one_of(field.name, kLeftOut)) continue;
    if (equal_without_case(field.name, "Set-Cookie") && is_own_cookie(trimmed(field.value))) continue;
    headers.add(field.name, field.value);
  }
  return headers;
}

}  // namespace atelier::gateway
