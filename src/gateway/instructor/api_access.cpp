// SPDX-License-Identifier: MIT
#include "gateway/instructor/api_access.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace atelier::gateway {

std::string Caller::name() const {
  return is_instructor() ? "instructor" : fmt::format("participant {}", participant);
}

std::optional<Caller> ApiAccess::caller_of_token(std::string_view token) const {
  if (equal_in_constant_time(token, tokens_.instructor_token())) return Caller{Role::instructor, {}};
  if (const auto owner = tokens_.owner_of(token)) return Caller{Role::participant, *owner};
  return std::nullopt;
}

bool ApiAccess::is_local(const net::Request& request) const {
  const std::string_view peer = request.peer.address;
  if (!peer.starts_with("127.") && peer != "::1" && !peer.starts_with("::ffff:127.")) return false;
  // A page in a browser on this machine, and a proxy that speaks for somebody else, are not the instructor.
  for (const std::string_view name : {"Origin", "Referer", "Cookie", "Forwarded", "X-Real-IP", "X-Client-IP",
                                      "CF-Connecting-IP", "True-Client-IP", "Via"}) {
    if (request.headers.contains(name)) return false;
  }
  const auto begins = [](std::string_view name, std::string_view word) {
    return name.size() >= word.size() &&
           std::ranges::equal(name.substr(0, word.size()), word, [](char a, char b) {
             return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
           });
  };
  for (const auto& field : request.headers) {
    if (begins(field.name, "x-forwarded-") || begins(field.name, "sec-fetch-")) return false;
  }
  return true;
}

Result<Caller> ApiAccess::caller_of(const net::Request& request) const {
  if (!request.headers.contains("Authorization")) {
    if (options_.local_is_instructor && is_local(request)) return Caller{Role::instructor, {}};
    return fail(Errc::unauthorized,
                "Send a token as 'Authorization: Bearer TOKEN'; 'atelier tokens --instructor' prints it.");
  }
  const Credentials given = presented_credentials(request);
  if (const auto caller = caller_of_token(given.secret)) return *caller;
  // Both are always compared: the time says nothing about the name.
  const bool name = equal_in_constant_time(sha256(given.name).hex(), sha256(options_.admin_username).hex());
  const bool password =
      equal_in_constant_time(sha256(given.secret).hex(), sha256(options_.admin_password).hex());
  if (!options_.admin_password.empty() && given.has_name && name && password)
    return Caller{Role::instructor, {}};
  return fail(Errc::unauthorized, "This token, or name and password, is not valid here.");
}

std::optional<net::Response> ApiAccess::refuse_at_own_seat(const net::Request& request) const {
  // WebSockets may bring their token in the query, as at the other seats.
  const auto token = presented_token(request);
  const auto by_token = token ? caller_of_token(*token) : std::nullopt;
  const Result<Caller> caller = by_token ? Result<Caller>(*by_token) : caller_of(request);
  if (caller && caller->is_instructor()) return std::nullopt;
  if (caller) return net::Response::text(403, "This seat is the instructor's.");
  net::Response response = net::Response::text(401, "This seat is the instructor's: it needs their token.");
  response.headers.add("WWW-Authenticate", R"(Basic realm="Atelier instructor", charset="UTF-8")");
  response.headers.add("Cache-Control", "no-store");
  return response;
}

}  // namespace atelier::gateway
