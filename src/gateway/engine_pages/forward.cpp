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
  // What else a browser or a proxy adds is about people and other services of this host name: cookies,
  // passwords, who was let in.
  constexpr std::array<std::string_view, 20> kPassed = {"Accept",
                                                        "Accept-Encoding",
                                                        "Accept-Language",
                                                        "Cache-Control",
                                                        "Comfy-User",
                                                        "Content-Encoding",
                                                        "Content-Disposition",
                                                        "Content-Language",
                                                        "Content-Type",
                                                        "DNT",
                                                        "If-Match",
                                                        "If-Modified-Since",
                                                        "If-None-Match",
                                                        "If-Range",
                                                        "If-Unmodified-Since",
                                                        "Last-Event-ID",
                                                        "Pragma",
                                                        "Range",
                                                        "User-Agent",
                                                        "X-Requested-With"};
  net::HeaderList headers;
  for (const auto field : request.headers) {
    if (is_one_of(field.name, kPassed) && !concerns_connection(request.headers, field.name))
      headers.add(field.name, field.value);
  }
  return headers;
}

net::HeaderList headers_from_engine(const net::HeaderList& given) {
  // What reaches beyond this answer: to the host name, to other pages of this origin, to a cache that would
  // show one worker's page under another's session, and a question for a password that is this workshop's.
  constexpr std::array<std::string_view, 14> kLeftOut = {
      "Set-Cookie", "Strict-Transport-Security", "Clear-Site-Data", "Alt-Svc",
      "NEL",        "WWW-Authenticate",          "Report-To",       "Reporting-Endpoints",
      "Expect-CT",  "Service-Worker-Allowed",    "Public-Key-Pins", "Cache-Control",
      "Expires",    "Origin-Agent-Cluster"};
  net::HeaderList headers;
  for (const auto field : given) {
    if (concerns_connection(given, field.name) || is_one_of(field.name, kLeftOut)) continue;
    headers.add(field.name, field.value);
  }
  headers.add("Cache-Control", "no-store");
  return headers;
}

}  // namespace atelier::gateway
