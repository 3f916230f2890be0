// SPDX-License-Identifier: MIT
#pragma once
// A participant's file as an answer: conditional requests, one range, and headers under which nothing that a
// person uploaded can run as script on this origin (reliability.md 84; CI D3, D4).

#include <string>
#include <string_view>

#include "files/files.hpp"
#include "net/http.hpp"

namespace atelier::gateway {

/// 200, 206, 304 or 416 with the bytes of `file`. `name` gives type and disposition: what a browser would run
/// (html, svg, xml, script, style) goes out as a download of octets, an svg only if no <img> asks for it.
[[nodiscard]] net::Response file_answer(const net::Request& request, files::File file, std::string_view name);

/// The value of Content-Disposition in ComfyUI's form: without a disposition type a browser shows it in
/// place.
[[nodiscard]] std::string disposition(std::string_view name, bool attachment);

/// A type that a browser would run or apply.
[[nodiscard]] bool is_active_type(std::string_view content_type);

}  // namespace atelier::gateway
