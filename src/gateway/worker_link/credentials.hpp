// SPDX-License-Identifier: MIT
#pragma once
// What workers with a key of their own are known by for a while: challenges to sign, and the tokens of the
// sessions that a signature opens. In memory only, tokens by their hashes: after a restart they sign again.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/hash.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

/// Whose bearer token it is.
struct WorkerIdentity {
  std::string worker;  // the name that its key is pinned to; empty: by the workers' long-lived token
  bool operator==(const WorkerIdentity&) const = default;
};

class WorkerCredentials {
 public:
  static constexpr milliseconds kChallengeLife{60'000}, kSessionLife{3'600'000};
  static constexpr std::size_t kChallengesMax = 4'096;  // above: the oldest is void
  static constexpr std::size_t kSessionsPerWorkerMax = 4;

  explicit WorkerCredentials(Runtime& runtime) : runtime_(runtime) {}

  /// 256 random bits in hex.
  [[nodiscard]] std::string make_challenge();
  /// True for one that was made, at its first use within its life.
  [[nodiscard]] bool take_challenge(const std::string& challenge);
  /// A token for this worker; of more than a few the oldest is void.
  [[nodiscard]] std::string open_session(const std::string& worker);
  [[nodiscard]] std::optional<WorkerIdentity> identity_of(std::string_view token) const;
  void end_sessions(std::string_view worker);

 private:
  struct Session {
    std::string worker;
    Instant until;
  };

  Runtime& runtime_;
  std::map<std::string, Instant> challenges_;             // until when they are good
  std::deque<std::pair<std::string, Instant>> in_order_;  // all made lately, the oldest first
  std::map<Digest, Session> sessions_;
};

}  // namespace atelier::gateway
