// SPDX-License-Identifier: MIT
#pragma once
// Rules that bind every request whatever face it is for: the Host header (DNS rebinding) and what browsers
// say of where a request comes from (design.md 13; reliability.md 52, 90, 91). Pure functions.

#include <optional>
#include <string_view>

#include "net/http.hpp"

namespace atelier::gateway {

/// Host equals `domain`, ends in ".domain", or is an IP literal, localhost or a name below it; the port does
/// not matter.
[[nodiscard]] bool host_accepted(std::string_view host, std::string_view domain);

/// False for a request that a page of another site makes a browser send: Sec-Fetch-Site cross-site (same-site
/// for what changes state or opens a socket), or an Origin that is not this host. Following a link is fine. A
/// request without any browser header passes.
[[nodiscard]] bool origin_accepted(const net::Request& request);

/// Without ":8188"; of an IPv6 literal the brackets stay.
[[nodiscard]] std::string_view without_port(std::string_view host);

inline constexpr std::string_view kUserRoot = "/user/";
/// Of a path below kUserRoot: "/user/7/api/queue" -> "7"; the rest stays in `path` with its slash, "" if
/// there was none.
[[nodiscard]] std::string_view take_participant(std::string_view& path);

/// "7" -> 7; nothing unless it is the one canonical way to write a number from 1 to `max`.
[[nodiscard]] std::optional<std::uint64_t> parse_canonical(std::string_view text, std::uint64_t max);

}  // namespace atelier::gateway
