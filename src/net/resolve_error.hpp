// SPDX-License-Identifier: MIT
#pragma once
// What it means that a host name could not be looked up.

#include <string_view>

#include "base/result.hpp"

namespace atelier::net {

/// What getaddrinfo's `code` says about `host`: not_found (there is no such name), else unavailable (nobody
/// could tell, or the name has no address now): that may be otherwise a moment later.
[[nodiscard]] Error resolve_error(std::string_view host, int code);

}  // namespace atelier::net
