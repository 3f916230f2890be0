// SPDX-License-Identifier: MIT
#include "agent/link_queue.hpp"

#include <doctest/doctest.h>

#include "runtime/virtual_runtime.hpp"

namespace atelier::agent {
namespace {

/// Takes nothing.
struct DeadLine final : net::WebSocket {
  awaitable<Result<net::Message>> read(Instant) override { co_return fail(Errc::closed, ""); }
  awaitable<Result<void>> write(net::Message, Instant) override { co_return Result<void>{}; }
  awaitable<void> close(net::CloseCode, std::string) override { co_return; }
  void drop() override {}
  [[nodiscard]] bool is_open() const override { return true; }
  [[nodiscard]] net::CloseCode close_code() const override { return net::CloseCode::none; }
  [[nodiscard]] std::string close_reason() const override { return {}; }
};

}  // namespace

TEST_CASE("all that an agent has to tell on a new link waits there, however much it is") {
  VirtualRuntime runtime;
  DeadLine line;
  net::OutgoingQueue queue(runtime, line, link_limits());
  using Pushed = net::OutgoingQueue::Pushed;
  const std::string event(2 << 20, 'x');
  for (int i = 0; i < 40; ++i) REQUIRE(queue.push(net::Message::text(event)) == Pushed::queued);
  for (int i = 0; i < 100'001; ++i) REQUIRE(queue.push(net::Message::text("")) == Pushed::queued);
  CHECK_FALSE(queue.overflowed());
}

TEST_CASE("an agent whose line is slow does not read its engines on, whatever it is that waits") {
  VirtualRuntime runtime;
  DeadLine line;
  net::OutgoingQueue queue(runtime, line, link_limits());
  const std::string bytes(kLinkBytesWaitingMax / 2, 'x');
  CHECK_FALSE(is_behind(queue));
  SUBCASE("events") { queue.push(net::Message::text(bytes)); }
  SUBCASE("results") { queue.push_large(net::Message::binary(bytes)); }
  queue.push(net::Message::text(bytes));
  CHECK_FALSE(is_behind(queue));
  queue.push_large(net::Message::binary(bytes));
  CHECK(is_behind(queue));
}

}  // namespace atelier::agent
