// SPDX-License-Identifier: MIT
#include "gateway/instructor/problem.hpp"

#include <fmt/format.h>

#include "comfy/json.hpp"
#include "gateway/http_errors.hpp"

namespace atelier::gateway {

std::string_view problem_name(unsigned status) {
  switch (status) {
    case 400:
      return "bad_request";
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 405:
      return "method_not_allowed";
    case 409:
      return "conflict";
    case 413:
      return "too_large";
    case 415:
      return "unsupported_media_type";
    case 422:
      return "bad_fields";
    case 429:
      return "too_many";
    case 507:
      return "disk_full";
    case 503:
      return "unavailable";
    default:
      return "internal";
  }
}

Problem problem_of(const Error& error) {
  const unsigned status = http_status_of(error.code);
  return {status, status == 500 ? "The server could not do this. Its log says why." : error.what};
}

std::string problem_json(const Problem& problem) {
  std::string errors;
  for (const FieldError& error : problem.errors) {
    errors += fmt::format(R"({}{{"pointer":{},"detail":{}}})", errors.empty() ? "" : ",",
                          comfy::quote_json(error.pointer), comfy::quote_json(error.detail));
  }
  if (!errors.empty()) errors = fmt::format(R"(,"errors":[{}])", errors);
  return fmt::format(R"({{"type":"/api/openapi.json#/components/x-problems/{}","title":"{}","status":{},)"
                     R"("detail":{}{}}})",
                     problem_name(problem.status), net::reason_phrase(problem.status), problem.status,
                     comfy::quote_json(problem.detail), errors);
}

net::Response problem_response(const Problem& problem) {
  net::Response response(problem.status, "application/problem+json", problem_json(problem));
  response.headers.add("Cache-Control", "no-store");
  if (problem.status == 401) response.headers.add("WWW-Authenticate", "Bearer realm=\"Atelier API\"");
  add_retry_after(response);
  return response;
}

}  // namespace atelier::gateway
