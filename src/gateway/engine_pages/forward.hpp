// SPDX-License-Identifier: MIT
#pragma once
// What of a request goes on to a worker's ComfyUI, what of its answer comes back, and whose requests are
// taken at all. Pure functions.

#include <string_view>

#include "net/http.hpp"

namespace atelier::gateway {

/// False for what a page of another origin makes a browser send. `public_url`: as whoever stands before this
/// server is called ("https://gpu.example"), or "". What changes something and what opens a socket must name
/// this origin; other requests must not name another one, but for a link to "/" in a window of its own.
[[nodiscard]] bool own_page_asks(const net::Request& request, std::string_view public_url);

/// What ComfyUI needs to know: of the content and the answers that are wanted. No cookies and no credentials,
/// and nothing that tells it that a browser asks for another host: it refuses where Origin and Host differ
/// (server.py, origin_only_middleware).
[[nodiscard]] net::HeaderList headers_to_engine(const net::Request& request);

/// Without what concerns one connection only, and without what would reach further than this answer: cookies,
/// Strict-Transport-Security, questions for a password, caches ...; never to be stored.
[[nodiscard]] net::HeaderList headers_from_engine(const net::HeaderList& headers);

}  // namespace atelier::gateway
