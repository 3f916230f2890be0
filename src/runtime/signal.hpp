// SPDX-License-Identifier: MIT
#pragma once
// Waiting for something that happens on the same thread.

#include <optional>
#include <vector>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>

#include "base/result.hpp"
#include "runtime/runtime.hpp"

namespace atelier {

/// A condition that waiters look at again after notify_all(). Use: while (!condition) co_await
/// signal.wait(deadline).
class Signal {
 public:
  explicit Signal(Runtime& runtime) : runtime_(runtime) {}
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;
  /// True when notified, false when `deadline` came or the coroutine is cancelled.
  [[nodiscard]] awaitable<bool> wait(Instant deadline);
  /// Wakes everybody who waits now.
  void notify_all();

 private:
  Runtime& runtime_;
  std::vector<Timer*> waiting_;
};

/// One value, given once, awaited once. The cheap way to answer a coroutine from a callback (no timer).
/// Cancellation of the waiting coroutine gives Errc::cancelled.
template <class T>
class Answer {
 public:
  Answer() = default;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  /// Later values are ignored.
  void give(Result<T> value) {
    if (value_) return;
    value_.emplace(std::move(value));
    complete();
  }

  [[nodiscard]] awaitable<Result<T>> wait() {
    if (!value_) {
      auto executor = co_await asio::this_coro::executor;
      auto initiate = [&](auto handler) {
        executor_.emplace(executor);
        Handler fresh(std::move(handler));
        handler_.swap(fresh);
        auto slot =
            asio::get_associated_cancellation_slot(handler_);  // the wrapper's own, see virtual_runtime.cpp
        if (slot.is_connected()) {
          slot.assign(
              [this](asio::cancellation_type) { give(fail(Errc::cancelled, "the wait was cancelled")); });
        }
      };
      co_await asio::async_initiate<decltype(use_awaitable), void()>(initiate, use_awaitable);
    }
    co_return std::move(*value_);
  }

 private:
  using Handler = asio::any_completion_handler<void()>;
  void complete() {
    if (!handler_) return;
    Handler handler;
    handler.swap(handler_);
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.clear();
    asio::post(*executor_, [h = std::move(handler)]() mutable { std::move(h)(); });
  }

  std::optional<Result<T>> value_;
  std::optional<Executor> executor_;
  Handler handler_;
};

}  // namespace atelier
