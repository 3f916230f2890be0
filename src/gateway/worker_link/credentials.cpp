// SPDX-License-Identifier: MIT
#include "gateway/worker_link/credentials.hpp"

#include <algorithm>

#include "gateway/fresh_secret.hpp"

namespace atelier::gateway {

std::string WorkerCredentials::make_challenge() {
  const Instant now = runtime_.now();
  while (!in_order_.empty() && (in_order_.front().second <= now || in_order_.size() >= kChallengesMax)) {
    challenges_.erase(in_order_.front().first);
    in_order_.pop_front();
  }
  std::string challenge = fresh_secret(runtime_);
  challenges_.emplace(challenge, now + kChallengeLife);
  in_order_.emplace_back(challenge, now + kChallengeLife);
  return challenge;
}

bool WorkerCredentials::take_challenge(const std::string& challenge) {
  const auto found = challenges_.find(challenge);
  if (found == challenges_.end()) return false;
  const bool in_time = runtime_.now() < found->second;
  challenges_.erase(found);
  return in_time;
}

std::string WorkerCredentials::open_session(const std::string& worker) {
  const Instant now = runtime_.now();
  std::erase_if(sessions_, [now](const auto& entry) { return entry.second.until <= now; });
  const auto own = [&worker](const auto& entry) { return entry.second.worker == worker; };
  while (static_cast<std::size_t>(std::ranges::count_if(sessions_, own)) >= kSessionsPerWorkerMax) {
    auto oldest = sessions_.end();
    for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
      if (own(*it) && (oldest == sessions_.end() || it->second.until < oldest->second.until)) oldest = it;
    }
    sessions_.erase(oldest);
  }
  std::string token = fresh_secret(runtime_);
  sessions_.emplace(sha256(token), Session{worker, now + kSessionLife});
  return token;
}

std::optional<WorkerIdentity> WorkerCredentials::identity_of(std::string_view token) const {
  const auto found = sessions_.find(sha256(token));
  if (found == sessions_.end() || found->second.until <= runtime_.now()) return std::nullopt;
  return WorkerIdentity{found->second.worker};
}

void WorkerCredentials::end_sessions(std::string_view worker) {
  std::erase_if(sessions_, [worker](const auto& entry) { return entry.second.worker == worker; });
}

}  // namespace atelier::gateway
