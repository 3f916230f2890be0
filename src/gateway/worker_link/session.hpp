// SPDX-License-Identifier: MIT
#pragma once
// One open link: its socket, and what the hello said until the workshop has numbered it. Internal to
// worker_link.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/types/effects.hpp"
#include "gateway/worker_link/credentials.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "link/codec.hpp"
#include "link/messages.hpp"
#include "net/websocket.hpp"

namespace atelier::gateway {

struct LinkSession {
  LinkSession(Runtime& runtime, std::unique_ptr<net::WebSocket> ws)
      : socket(std::move(ws)),
        outgoing(runtime, *socket, {.bytes_max = 64 << 20, .messages_max = 100'000, .latest_bytes_max = 0}) {}

  void send(const link::GatewayMessage& message) {
    if (!welcomed) {
      before_welcome.push_back(link::encode(message));
      return;
    }
    outgoing.push(net::Message::text(link::encode(message)));
  }
  /// The welcome goes first; what the effects wanted sent meanwhile follows.
  void welcome(const link::Welcome& message) {
    outgoing.push(net::Message::text(link::encode(link::GatewayMessage{message})));
    welcomed = true;
    for (std::string& text : before_welcome) outgoing.push(net::Message::text(std::move(text)));
    before_welcome.clear();
  }

  std::unique_ptr<net::WebSocket> socket;
  net::OutgoingQueue outgoing;
  std::string name;
  WorkerIdentity identity;  // of whoever opened it
  LinkId link;              // 0 until worker_joined is applied
  WorkerId worker;
  Key128 boot;
  std::vector<link::HelloJob> hello_jobs;
  std::vector<link::Answer> answers;
  bool same_boot = false;
  bool welcomed = false;
  std::deque<std::string> before_welcome;
  std::vector<link::HelloSlot> slots;
  bool launched = false;                                     // its agent started its engines
  std::optional<WorkerReadings> readings;                    // of the last telemetry
  std::map<std::uint32_t, std::deque<std::string>> printed;  // by slot: what its engine printed last
  std::map<std::uint32_t, core::LikelyNext> hints;           // by slot: what was sent last

  /// This link has had a lease of it, or its hello named it: what comes later may be late, no more.
  void knows(JobId job, Epoch epoch) {
    if (known.size() >= kKnownMax) known.erase(known.begin());  // the oldest job
    known.emplace(job, epoch);
  }
  /// A message about a job that the worker does not hold. Late ones are no offence, however many: a node that
  /// never looks whether it shall stop goes on talking after the workshop has ended its job.
  void count_unheld(JobId job, Epoch epoch) {
    if (!known.contains({job, epoch})) ++foreign_messages;
  }
  static constexpr std::size_t kKnownMax = 4'096;
  std::set<std::pair<JobId, Epoch>> known;
  int foreign_messages = 0;
  std::optional<link::Preview> part;  // of a frame that comes in parts: what has come
  Instant renew_at;                   // not before, by what is no heartbeat
};

}  // namespace atelier::gateway
