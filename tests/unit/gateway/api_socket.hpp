// SPDX-License-Identifier: MIT
#pragma once
// The reader's end of a socket at /api/v1/events.

#include <doctest/doctest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "unit/gateway/fake_socket.hpp"
#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {

/// A socket at /api/v1/events of which the test holds the reader's end.
class ApiSocket {
 public:
  ApiSocket(Rig& rig, std::string query, const std::string& token = Rig::kInstructor)
      : rig_(rig), wire_(std::make_shared<Wire>(rig.runtime)) {
    net::StringReader body("");
    net::Request request;
    request.target = "/api/v1/events" + query;
    request.host = "localhost:8188";
    request.peer.address = rig.peer_address;
    request.body = &body;
    request.headers = {{"Connection", "Upgrade"},
                       {"Upgrade", "websocket"},
                       {"Sec-WebSocket-Version", "13"},
                       {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    if (!token.empty()) request.headers.add("Authorization", "Bearer " + token);
    net::Response response = rig.run(rig.gateway->handle(request));
    status = response.status;
    if (!response.upgrade) return;
    upgrade_ = std::move(response.upgrade);
    asio::co_spawn(rig.runtime.executor(), upgrade_(std::make_unique<FakeSocket>(wire_)), asio::detached);
    rig.runtime.run_ready();
  }
  ~ApiSocket() { leave(); }
  ApiSocket(const ApiSocket&) = delete;
  ApiSocket& operator=(const ApiSocket&) = delete;

  void leave() {
    wire_->left = true;
    wire_->changed.notify_all();
    rig_.runtime.run_ready();
  }
  void say(std::string text) {
    wire_->to_server.push_back(net::Message::text(std::move(text)));
    wire_->changed.notify_all();
    rig_.runtime.run_ready();
  }
  void stall(bool stalled) {
    wire_->stalled = stalled;
    wire_->changed.notify_all();
    rig_.runtime.run_ready();
  }
  /// All messages so far, but ticks; the time for a delta passes first.
  std::vector<boost::json::value> take() {
    rig_.runtime.advance(milliseconds{100});
    rig_.runtime.run_ready();
    std::vector<boost::json::value> messages;
    for (const net::Message& message : std::exchange(wire_->to_browser, {})) {
      boost::json::value parsed = comfy::Json::parse(message.view()).value().value();
      const auto next = parsed.at("sequence").to_number<std::uint64_t>();
      CHECK(next >= sequence);  // it never goes back
      sequence = next;
      if (parsed.at("type") == "tick") {
        ++ticks;
      } else {
        messages.push_back(std::move(parsed));
      }
    }
    return messages;
  }
  /// All changes of the messages so far, which must be deltas.
  std::vector<boost::json::value> changes() {
    std::vector<boost::json::value> all;
    for (const boost::json::value& message : take()) {
      REQUIRE(message.at("type") == "delta");
      for (const boost::json::value& change : message.at("changes").as_array()) all.push_back(change);
    }
    return all;
  }
  [[nodiscard]] net::CloseCode closed() const { return wire_->server_closed; }

  unsigned status = 0;  // of a refusal
  std::uint64_t sequence = 0;
  int ticks = 0;

 private:
  Rig& rig_;
  std::shared_ptr<Wire> wire_;
  net::Upgrade upgrade_;
};

/// Of the changes with this member: that member.
inline std::vector<boost::json::value> only(const std::vector<boost::json::value>& changes,
                                            std::string_view member) {
  std::vector<boost::json::value> found;
  for (const boost::json::value& change : changes) {
    if (const auto* value = change.as_object().if_contains(member)) found.push_back(*value);
  }
  return found;
}

}  // namespace atelier::gateway::test
