// SPDX-License-Identifier: MIT
#pragma once
// Who may look at a worker's own ComfyUI: tickets for one use within a minute, and the sessions that they
// open. In memory only: a restart ends all of them. Secrets are kept as their digests.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

/// The ComfyUI that a ticket or a session is for, and who asked for it.
struct EnginePlace {
  std::string worker;
  std::uint32_t slot = 0;
  std::string by;
  [[nodiscard]] bool same_slot(const EnginePlace& other) const {
    return worker == other.worker && slot == other.slot;
  }
};

class EngineSessions {
 public:
  static constexpr milliseconds kTicketLife{60'000};
  static constexpr milliseconds kLongest{8 * 3'600'000};
  static constexpr milliseconds kIdle{3'600'000};
  static constexpr std::size_t kTicketsMax = 256;
  static constexpr std::size_t kSessionsMax = 32;

  explicit EngineSessions(Runtime& runtime) : runtime_(runtime) {}

  /// 256 random bits as hex digits. Error queue_full if too many were made and not used.
  [[nodiscard]] Result<std::string> make_ticket(EnginePlace place);

  struct Opened {
    std::string secret;  // 256 random bits as hex digits
    EnginePlace place;
  };
  /// Spends the ticket. With kSessionsMax sessions the one that was used longest ago ends. Nothing for a
  /// ticket that was used, is too old, or never was.
  [[nodiscard]] std::optional<Opened> open(std::string_view ticket);

  /// What a ticket that can still be spent is for.
  [[nodiscard]] std::optional<EnginePlace> place_of(std::string_view ticket);
  /// Ends the session of this secret, if there is one.
  void close(std::string_view secret) { sessions_.erase(sha256(secret)); }

  struct Found {
    EnginePlace place;
    Instant until;  // it ends at the latest
  };
  /// Of this secret; notes that it is in use. Nothing if there is none (any more).
  [[nodiscard]] std::optional<Found> find(std::string_view secret);

  [[nodiscard]] std::size_t open_now() const { return sessions_.size(); }

 private:
  struct Ticket {
    EnginePlace place;
    Instant until;
  };
  struct Session {
    EnginePlace place;
    Instant started, used;
  };
  void drop_old();

  Runtime& runtime_;
  std::map<Digest, Ticket> tickets_;
  std::map<Digest, Session> sessions_;
};

}  // namespace atelier::gateway
