// SPDX-License-Identifier: MIT
#pragma once
// The one table from kinds of failure to HTTP (style.md 4), and the two shapes in which a failure is told.

#include <string_view>

#include "base/result.hpp"
#include "net/http.hpp"

namespace atelier::gateway {

[[nodiscard]] unsigned http_status_of(Errc code);
/// The sentence as text, with Retry-After where trying again helps.
[[nodiscard]] net::Response error_response(const Error& error);
/// `{"error":{"type","message","details","extra_info"},"node_errors":{}}`: what the stock front end shows
/// after Run.
[[nodiscard]] net::Response prompt_error_response(const Error& error);
/// Retry-After for statuses that ask for another try.
void add_retry_after(net::Response& response);

}  // namespace atelier::gateway
