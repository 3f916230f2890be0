// SPDX-License-Identifier: MIT
#pragma once
// What the API says when it does not do something: application/problem+json (RFC 9457).

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "net/http.hpp"

namespace atelier::gateway {

struct FieldError {
  std::string pointer;  // RFC 6901, into the body: "/running_max"
  std::string detail;
};

struct Problem {
  Problem(unsigned code, std::string sentence) : status(code), detail(std::move(sentence)) {}
  unsigned status;
  std::string detail;  // one sentence that says what to do
  std::vector<FieldError> errors;
};

/// The last part of a problem's type: "conflict".
[[nodiscard]] std::string_view problem_name(unsigned status);
/// By the one table of gateway/http_errors.
[[nodiscard]] Problem problem_of(const Error& error);
[[nodiscard]] std::string problem_json(const Problem& problem);
[[nodiscard]] net::Response problem_response(const Problem& problem);

}  // namespace atelier::gateway
