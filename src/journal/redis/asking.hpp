// SPDX-License-Identifier: MIT
#pragma once
// A connection that is made when it is needed, and made again when it is lost; one command after the other.
// For commands that may be said twice. One thread.

#include <deque>

#include "journal/redis/connection.hpp"
#include "runtime/signal.hpp"

namespace atelier::journal::redis {

/// One at a time, in the order of their coming.
class Turnstile {
 public:
  explicit Turnstile(Runtime& runtime) : free_(runtime) {}
  /// Opens the way for the next one at its end.
  class Pass {
   public:
    explicit Pass(Turnstile* turnstile) : turnstile_(turnstile) {}
    Pass(Pass&& other) noexcept : turnstile_(std::exchange(other.turnstile_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (turnstile_ != nullptr) turnstile_->leave();
    }
    explicit operator bool() const { return turnstile_ != nullptr; }

   private:
    Turnstile* turnstile_;
  };
  /// No pass when `deadline` comes or the coroutine is cancelled.
  [[nodiscard]] awaitable<Pass> enter(Instant deadline = Instant{INT64_MAX});

 private:
  void leave();

  Signal free_;
  std::deque<std::uint64_t> queue_;  // who waits
  std::uint64_t last_ = 0;
  bool taken_ = false;
};

class Asking {
 public:
  Asking(Runtime& runtime, std::shared_ptr<net::DeadlineSweep> sweep, const Options& options)
      : runtime_(runtime), sweep_(std::move(sweep)), options_(options), turnstile_(runtime) {}
  /// As Connection::command; a connection that was lost since the last answer is made anew once. Takes no
  /// longer than Options::patience, with the wait for others who ask.
  [[nodiscard]] awaitable<Result<Reply>> ask(std::vector<std::string_view> words);
  /// A command under way, and every later one, ends with unavailable.
  void close();
  [[nodiscard]] Runtime& runtime() const { return runtime_; }

 private:
  Runtime& runtime_;
  std::shared_ptr<net::DeadlineSweep> sweep_;
  const Options& options_;
  Turnstile turnstile_;
  std::unique_ptr<Connection> connection_;
  bool closed_ = false;
};

}  // namespace atelier::journal::redis
