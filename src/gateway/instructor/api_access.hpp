// SPDX-License-Identifier: MIT
#pragma once
// Who calls the API: by a token or by name and password, never by a cookie (design.md 13). Pure.

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "gateway/seat_access.hpp"
#include "net/http.hpp"

namespace atelier::gateway {

/// In the order of their rights. A route names the least; the default is no.
enum class Role : std::uint8_t { participant, instructor };

struct Caller {
  Role role = Role::participant;
  ParticipantId participant;  // of the role participant
  [[nodiscard]] bool is_instructor() const { return role == Role::instructor; }
  /// For events: "instructor", "participant 7".
  [[nodiscard]] std::string name() const;
  /// May see and change what belongs to this participant.
  [[nodiscard]] bool owns(ParticipantId owner) const { return is_instructor() || owner == participant; }
};

struct ApiAccessOptions {
  std::string admin_username = "admin";
  std::string admin_password;  // "" = nobody comes in by name and password
  /// A request from this very machine without a token, without what a browser adds and without what a proxy
  /// adds is the instructor's.
  bool local_is_instructor = false;
};

class ApiAccess {
 public:
  ApiAccess(SeatTokens tokens, ApiAccessOptions options)
      : tokens_(std::move(tokens)), options_(std::move(options)) {}

  /// Error unauthorized, with a sentence.
  [[nodiscard]] Result<Caller> caller_of(const net::Request& request) const;
  [[nodiscard]] std::optional<Caller> caller_of_token(std::string_view token) const;
  /// The refusal of whoever is not the instructor at the instructor's own seat, /user/0/: 401 with a
  /// challenge for Basic (the password may be the token), or 403 for a participant. Nothing for the
  /// instructor.
  [[nodiscard]] std::optional<net::Response> refuse_at_own_seat(const net::Request& request) const;

 private:
  [[nodiscard]] bool is_local(const net::Request& request) const;

  SeatTokens tokens_;
  ApiAccessOptions options_;
};

}  // namespace atelier::gateway
