// SPDX-License-Identifier: MIT
#pragma once
// The open WebSockets of all participants, by (participant, clientId): a set each, erased by identity, so
// that two tabs with one id both get their events and no id reaches another participant (CI B1, B2, B6;
// reliability.md 55-59).

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "net/websocket.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::gateway {

/// One open socket.
class Client {
 public:
  Client(Runtime& runtime, std::unique_ptr<net::WebSocket> ws, ParticipantId owner, std::string id)
      : socket(std::move(ws)), outgoing(runtime, *socket), participant(owner), sid(std::move(id)) {}

  void send(std::shared_ptr<const std::string> text) {
    outgoing.push({net::MessageKind::text, std::move(text)});
  }

  /// Progress is sent like everything else, but a browser that is behind gets only the newest of each `key`
  /// (reliability.md 57).
  void send_progress(std::shared_ptr<const std::string> text, std::uint64_t key) {
    constexpr std::size_t kBehindBytes = 256 << 10;
    net::Message message{net::MessageKind::text, std::move(text)};
    if (outgoing.bytes_waiting() < kBehindBytes) {
      outgoing.push(std::move(message));
    } else {
      outgoing.push_latest(std::move(message), key);
    }
  }

  std::unique_ptr<net::WebSocket> socket;
  net::OutgoingQueue outgoing;
  const ParticipantId participant;
  const std::string sid;
  bool takes_preview_metadata = false;
  bool spoke = false;              // its first text message has come (CI B2)
  bool written = false;            // its writer has ended
  std::int64_t budget_second = 0;  // of the message budget
  int budget_used = 0;
};

class Sockets {
 public:
  using Greet = std::function<void(Client&)>;

  /// `flags_json`: the answer to feature_flags. `greet` sends what a new socket gets first.
  Sockets(Runtime& runtime, std::string flags_json, std::size_t per_participant_max, Greet greet)
      : runtime_(runtime),
        flags_json_(std::move(flags_json)),
        per_participant_max_(per_participant_max),
        greet_(std::move(greet)),
        closed_(runtime) {}

  /// Serves one socket until it ends. An empty `sid` gets a fresh one (32 hex digits).
  [[nodiscard]] awaitable<void> run(std::unique_ptr<net::WebSocket> socket, ParticipantId participant,
                                    std::string sid);

  /// To the sockets with this id; an empty id means all of the participant's (a prompt without client_id, CI
  /// G6).
  [[nodiscard]] std::vector<Client*> find(ParticipantId participant, std::string_view sid) const;
  [[nodiscard]] std::vector<Client*> all(ParticipantId participant) const { return find(participant, {}); }
  void send_all(ParticipantId participant, std::string text) const;
  [[nodiscard]] std::vector<ParticipantId> participants() const;
  [[nodiscard]] std::size_t size() const { return count_; }

  /// Closes everything with 1001.
  [[nodiscard]] awaitable<void> stop(Instant deadline);

 private:
  awaitable<void> write_loop(std::shared_ptr<Client> client);
  awaitable<void> read_loop(Client& client);
  bool within_budget(Client& client) const;
  void on_text(Client& client, std::string_view text) const;

  Runtime& runtime_;
  std::string flags_json_;
  std::size_t per_participant_max_;
  Greet greet_;
  std::map<ParticipantId, std::vector<std::shared_ptr<Client>>> clients_;
  std::size_t count_ = 0;
  bool stopping_ = false;
  Signal closed_;
};

}  // namespace atelier::gateway
