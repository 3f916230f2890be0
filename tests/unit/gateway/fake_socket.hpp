// SPDX-License-Identifier: MIT
#pragma once
// A WebSocket without a network: the test holds the browser's end.

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/websocket.hpp"
#include "runtime/signal.hpp"
#include "unit/gateway/rig.hpp"

namespace atelier::gateway::test {

/// What the two ends of a fake socket share.
struct Wire {
  explicit Wire(Runtime& runtime) : changed(runtime) {}
  std::deque<net::Message> to_server;
  std::vector<net::Message> to_browser;
  net::CloseCode server_closed = net::CloseCode::none;
  std::string reason;
  bool left = false;     // the browser went away
  bool stalled = false;  // the browser reads nothing: writes wait
  Signal changed;
  [[nodiscard]] bool over() const { return left || server_closed != net::CloseCode::none; }
};

class FakeSocket final : public net::WebSocket {
 public:
  explicit FakeSocket(std::shared_ptr<Wire> wire) : wire_(std::move(wire)) {}

  awaitable<Result<net::Message>> read(Instant deadline) override {
    while (wire_->to_server.empty()) {
      if (wire_->over()) co_return fail(Errc::closed, "the socket has ended");
      if (!co_await wire_->changed.wait(deadline)) co_return fail(Errc::timeout, "nothing has come");
    }
    net::Message message = std::move(wire_->to_server.front());
    wire_->to_server.pop_front();
    co_return message;
  }
  awaitable<Result<void>> write(net::Message message, Instant deadline) override {
    while (wire_->stalled && !wire_->over()) {
      [[maybe_unused]] const bool woken = co_await wire_->changed.wait(deadline);
    }
    if (wire_->over()) co_return fail(Errc::closed, "the socket has ended");
    wire_->to_browser.push_back(std::move(message));
    co_return Result<void>{};
  }
  awaitable<void> close(net::CloseCode code, std::string reason) override {
    if (!wire_->over()) {
      wire_->server_closed = code;
      wire_->reason = std::move(reason);
    }
    wire_->changed.notify_all();
    report_end();
    co_return;
  }
  void drop() override {
    wire_->left = true;
    wire_->changed.notify_all();
    report_end();
  }
  [[nodiscard]] bool is_open() const override { return !wire_->over(); }
  [[nodiscard]] net::CloseCode close_code() const override { return net::CloseCode::none; }
  [[nodiscard]] std::string close_reason() const override { return {}; }

 private:
  std::shared_ptr<Wire> wire_;
};

/// A tab with an open socket at /user/N/ws.
class Tab {
 public:
  Tab(Rig& rig, int participant, const std::string& client_id, bool takes_metadata = false);
  ~Tab() { leave(); }
  Tab(const Tab&) = delete;
  Tab& operator=(const Tab&) = delete;

  void say(std::string text, net::MessageKind kind = net::MessageKind::text);
  void leave();
  void stall(bool stalled);
  /// Text messages since the last call, each as JSON text; binary ones as "<n bytes>".
  std::vector<std::string> take();
  /// Only their types, with the node of those that have one: "executing 4".
  std::vector<std::string> take_types();
  /// Binary messages since the last call.
  std::vector<std::string> take_frames();
  [[nodiscard]] net::CloseCode closed() const { return wire_->server_closed; }
  [[nodiscard]] const std::string& reason() const { return wire_->reason; }

 private:
  Rig& rig_;
  std::shared_ptr<Wire> wire_;
  net::Upgrade upgrade_;
};

}  // namespace atelier::gateway::test
