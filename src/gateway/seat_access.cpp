// SPDX-License-Identifier: MIT
#include "gateway/seat_access.hpp"

#include <fmt/format.h>

#include "base/hash.hpp"
#include "gateway/access.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kTokenHexDigits = 32;

/// RFC 4648 4, padding optional; nothing for anything else.
std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    if (c >= '0' && c <= '9') value = c - '0' + 52;
    if (c == '+') value = 62;
    if (c == '/') value = 63;
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xFF);
  }
  return out;
}

/// "Bearer abc" -> "abc" if the scheme is the one asked for.
std::optional<std::string_view> after_scheme(std::string_view header, std::string_view scheme) {
  const std::size_t space = header.find(' ');
  if (space == std::string_view::npos || !net::equal_without_case(header.substr(0, space), scheme))
    return std::nullopt;
  header.remove_prefix(space);
  while (header.starts_with(' ')) header.remove_prefix(1);
  while (header.ends_with(' ')) header.remove_suffix(1);
  return header;
}

}  // namespace

std::string SeatTokens::token_of(ParticipantId participant) const {
  const std::string name = fmt::format("atelier seat token 1: {}", participant);
  return fmt::format("{}-{}", participant, hmac_sha256(key_, name).hex().substr(0, kTokenHexDigits));
}

std::string SeatTokens::instructor_token() const {
  return "instructor-" + hmac_sha256(key_, "atelier instructor token 1").hex().substr(0, kTokenHexDigits);
}

std::optional<ParticipantId> SeatTokens::owner_of(std::string_view token) const {
  const auto number = parse_canonical(token.substr(0, token.find('-')), num_users_);
  if (!number || !equal_in_constant_time(token, token_of(ParticipantId{*number}))) return std::nullopt;
  return ParticipantId{*number};
}

Credentials presented_credentials(const net::Request& request) {
  Credentials given;
  const std::string_view header = request.headers.get("Authorization");
  if (const auto bearer = after_scheme(header, "Bearer")) {
    given.secret = *bearer;
    return given;
  }
  const auto basic = after_scheme(header, "Basic");
  const auto pair = basic ? decode_base64(*basic) : std::nullopt;
  const std::size_t colon = pair ? pair->find(':') : std::string::npos;
  if (colon == std::string::npos) return given;
  given.name = pair->substr(0, colon);
  given.secret = pair->substr(colon + 1);
  given.has_name = true;
  return given;
}

std::optional<std::string> presented_token(const net::Request& request) {
  if (request.headers.contains("Authorization")) return presented_credentials(request).secret;
  return request.wants_websocket() ? request.parameter("token") : std::nullopt;
}

std::optional<net::Response> SeatAccess::refuse(const net::Request& request,
                                                ParticipantId participant) const {
  const auto token = presented_token(request);
  if (!token && rule_ == Rule::open) return std::nullopt;
  const auto owner = token ? tokens_.owner_of(*token) : std::nullopt;
  if (owner == participant) return std::nullopt;
  if (owner) return net::Response::text(403, fmt::format("This token is that of seat {}.", *owner));
  net::Response response = net::Response::text(
      401, token ? "This token is not valid: ask for the present one." : "This seat needs its token.");
  response.headers.add("WWW-Authenticate",
                       fmt::format("Basic realm=\"Atelier seat {}\", charset=\"UTF-8\"", participant));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

std::optional<ParticipantId> seat_of_host(std::string_view host, std::string_view domain,
                                          std::uint64_t num_users) {
  const std::size_t dot = host.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view rest = without_port(host.substr(dot + 1));
  const bool ours = net::equal_without_case(rest, "localhost") ||
                    (!domain.empty() && net::equal_without_case(rest, domain));
  const auto number = ours ? parse_canonical(host.substr(0, dot), num_users) : std::nullopt;
  return number ? std::optional(ParticipantId{*number}) : std::nullopt;
}

}  // namespace atelier::gateway
