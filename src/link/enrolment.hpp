// SPDX-License-Identifier: MIT
#pragma once
// What both ends say of a worker's key (docs/protocol/worker-link.md, "Enrolment").

#include <string>
#include <string_view>

namespace atelier::link {

/// By this an enrolment's token is told from the long-lived one; 64 hex digits follow.
inline constexpr std::string_view kEnrolmentTokenPrefix = "atelier-enrol-";
/// How the refusal of a key begins whose holder has to make a new one.
inline constexpr std::string_view kKeyRevoked = "key_revoked: ";

/// What a worker signs to open a session. No signature of anything else is one of this.
[[nodiscard]] inline std::string proof_text(std::string_view worker, std::string_view challenge) {
  std::string text = "atelier worker session 1\n";
  text.append(worker).push_back('\n');
  text.append(challenge);
  return text;
}

}  // namespace atelier::link
