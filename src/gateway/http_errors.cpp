// SPDX-License-Identifier: MIT
#include "gateway/http_errors.hpp"

#include <fmt/format.h>

#include <string>

#include "comfy/json.hpp"

namespace atelier::gateway {

unsigned http_status_of(Errc code) {
  switch (code) {
    case Errc::bad_request:
    case Errc::bad_prompt:
    case Errc::bad_hash:
    case Errc::protocol:
      return 400;
    case Errc::unauthorized:
      return 401;
    case Errc::forbidden:
      return 403;
    case Errc::not_found:
      return 404;
    case Errc::timeout:
      return 408;
    case Errc::conflict:
    case Errc::stale_epoch:
      return 409;
    case Errc::too_large:
      return 413;
    case Errc::queue_full:
      return 429;
    case Errc::unsupported:
      return 501;
    case Errc::unavailable:
    case Errc::cancelled:
    case Errc::closed:
      return 503;
    case Errc::disk_full:
      return 507;
    case Errc::newer_version:
    case Errc::config:
    case Errc::io:
    case Errc::internal:
      return 500;
  }
  return 500;
}

void add_retry_after(net::Response& response) {
  if (response.status == 429) response.headers.set("Retry-After", "10");
  if (response.status == 503) response.headers.set("Retry-After", "5");
  if (response.status == 507) response.headers.set("Retry-After", "60");
}

namespace {

// What the operating system said is for the log, not for whoever asked.
std::string_view sentence_of(const Error& error) {
  if (http_status_of(error.code) == 500) return "The server could not do this. Its log says why.";
  return error.what;
}

}  // namespace

net::Response error_response(const Error& error) {
  auto response = net::Response::text(http_status_of(error.code), std::string(sentence_of(error)));
  add_retry_after(response);
  return response;
}

net::Response prompt_error_response(const Error& error) {
  auto response = net::Response::json(
      http_status_of(error.code),
      fmt::format(
          R"({{"error":{{"type":{},"message":{},"details":"","extra_info":{{}}}},"node_errors":{{}}}})",
          comfy::quote_json(to_string(error.code)), comfy::quote_json(sentence_of(error))));
  add_retry_after(response);
  return response;
}

}  // namespace atelier::gateway
