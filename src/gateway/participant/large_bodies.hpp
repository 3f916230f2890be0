// SPDX-License-Identifier: MIT
#pragma once
// Bodies that are read whole before anything is done with them: a prompt, a file of userdata. However many
// participants send one at once, the memory for the large ones has a bound; the others wait, unread.
// One thread.

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::gateway {

class LargeBodies {
 public:
  /// Bodies up to this size do not wait: they are what nearly everybody sends.
  static constexpr std::uint64_t kSmall = 256 << 10;
  /// Of all that are in work. With what it is parsed into a workflow takes about four times its size, and a
  /// prompt of nothing but short numbers up to ten times (measured; integration/little_memory.py).
  static constexpr std::uint64_t kInWorkMax = 64u << 20;
  /// How long one waits before it is refused.
  static constexpr milliseconds kPatience{30'000};

  explicit LargeBodies(Runtime& runtime) : runtime_(runtime), freed_(runtime) {}

  /// Room for one body, until it goes away. LargeBodies must outlive it.
  class Room {
   public:
    Room() = default;
    Room(Room&& other) noexcept
        : bodies_(std::exchange(other.bodies_, nullptr)), bytes_(other.bytes_), deadline_(other.deadline_) {}
    Room& operator=(Room&& other) = delete;
    ~Room();
    /// When its last byte has to be there: a sender that stalls does not keep the room from others.
    [[nodiscard]] Instant deadline() const { return deadline_; }

   private:
    friend class LargeBodies;
    LargeBodies* bodies_ = nullptr;
    std::uint64_t bytes_ = 0;
    Instant deadline_ = net::kNoDeadline;
  };

  /// Waits until there is room for the body of `request`, which has `bytes_max` at most: else reading it
  /// fails and costs nothing. Error unavailable with a sentence for the person.
  [[nodiscard]] awaitable<Result<Room>> room_for(const net::Request& request, std::uint64_t bytes_max);

 private:
  Runtime& runtime_;
  Signal freed_;
  std::uint64_t in_work_ = 0;
};

}  // namespace atelier::gateway
