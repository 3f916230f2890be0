// SPDX-License-Identifier: MIT
#include "gateway/participant/large_bodies.hpp"

#include <doctest/doctest.h>

#include <optional>

#include "runtime/task_group.hpp"
#include "runtime/virtual_runtime.hpp"

namespace atelier::gateway {
namespace {

constexpr std::uint64_t kMax = 40u << 20;

struct Senders {
  VirtualRuntime runtime;
  LargeBodies bodies{runtime};
  TaskGroup tasks{runtime};

  /// Empty while it waits.
  using Outcome = std::optional<Result<LargeBodies::Room>>;

  void send(std::optional<std::uint64_t> bytes, Outcome& outcome) {
    auto ask = [](LargeBodies& bodies_, std::optional<std::uint64_t> length,
                  Outcome& into) -> awaitable<void> {
      net::Request request;
      request.content_length = length;
      into.emplace(co_await bodies_.room_for(request, kMax));
    };
    tasks.spawn("body", ask(bodies, bytes, outcome));
    runtime.run_ready();
  }
};

TEST_CASE("large bodies wait for room, small ones and those that are refused anyway do not") {
  Senders senders;
  Senders::Outcome first, second, small, beyond;
  senders.send(kMax, first);
  senders.send(std::nullopt, second);  // chunked: it may have kMax
  senders.send(LargeBodies::kSmall, small);
  senders.send(kMax + 1, beyond);
  REQUIRE((first && first->has_value()));
  CHECK_FALSE(second);
  CHECK((small && small->has_value()));
  CHECK((beyond && beyond->has_value()));
  CHECK((*first)->deadline() < net::kNoDeadline);
  senders.runtime.advance(milliseconds{1'000});
  CHECK_FALSE(second);
  first.reset();
  senders.runtime.run_ready();
  CHECK((second && second->has_value()));
}

TEST_CASE("a body that finds no room for long is refused with a sentence, and takes none") {
  Senders senders;
  Senders::Outcome first, second, third;
  senders.send(kMax, first);
  senders.send(kMax, second);
  senders.runtime.advance(LargeBodies::kPatience);
  REQUIRE(second);
  REQUIRE_FALSE(second->has_value());
  CHECK(second->error().code == Errc::unavailable);
  first.reset();
  senders.send(kMax, third);
  CHECK((third && third->has_value()));
}

}  // namespace
}  // namespace atelier::gateway
