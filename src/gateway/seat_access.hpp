// SPDX-License-Identifier: MIT
#pragma once
// Who may act as a participant: the tokens for scripts, and which participant an address without path prefix
// belongs to (design.md 13). Pure but for the key it is made with.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "net/http.hpp"

namespace atelier::gateway {

/// One token per participant, made from the workshop's key: nothing is stored, a new key makes all of them
/// void.
class SeatTokens {
 public:
  /// `key`: 64 hex digits (DATA_DIR/seat.key). Participants 1 to `num_users`.
  SeatTokens(std::string key, std::uint64_t num_users) : key_(std::move(key)), num_users_(num_users) {}
  /// "7-" and 32 hex digits.
  [[nodiscard]] std::string token_of(ParticipantId participant) const;
  /// Whose token this is; nothing if it is none.
  [[nodiscard]] std::optional<ParticipantId> owner_of(std::string_view token) const;
  /// The instructor's: "instructor-" and 32 hex digits. It opens the API, no seat.
  [[nodiscard]] std::string instructor_token() const;

 private:
  std::string key_;
  std::uint64_t num_users_;
};

/// What an Authorization header says: a Bearer token, or a name and a password. Empty for another form.
struct Credentials {
  std::string name, secret;
  bool has_name = false;
};
[[nodiscard]] Credentials presented_credentials(const net::Request& request);

/// The token that a request brings: `Authorization: Bearer TOKEN`, `Authorization: Basic` with the token as
/// password, or (only where a WebSocket is asked for, whose clients often cannot set headers) `?token=`.
/// An Authorization header of another form is "" - a token that nobody has.
[[nodiscard]] std::optional<std::string> presented_token(const net::Request& request);

class SeatAccess {
 public:
  enum class Rule { open, token };  // open: without a token everybody; with one it must be the seat's own

  SeatAccess(SeatTokens tokens, Rule rule) : tokens_(std::move(tokens)), rule_(rule) {}
  /// The refusal (401 with a challenge for Basic, or 403 for another seat's token), or nothing.
  [[nodiscard]] std::optional<net::Response> refuse(const net::Request& request,
                                                    ParticipantId participant) const;

 private:
  SeatTokens tokens_;
  Rule rule_;
};

/// The participant whose own host name `host` is: "7.DOMAIN", or "7.localhost"; the port does not matter.
/// Only the canonical spelling of a number up to `num_users` counts.
[[nodiscard]] std::optional<ParticipantId> seat_of_host(std::string_view host, std::string_view domain,
                                                        std::uint64_t num_users);

}  // namespace atelier::gateway
