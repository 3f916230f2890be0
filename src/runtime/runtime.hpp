// SPDX-License-Identifier: MIT
#pragma once
// Everything that production takes from the machine and simulation makes up: clocks, timers, random numbers,
// blocking work. One thread runs one io_context (design.md 3); nothing here is locked.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "base/hash.hpp"
#include "base/time.hpp"
#include "runtime/awaitable.hpp"

namespace atelier {

/// A timer that can be set again and again. Destroying it cancels the wait.
class Timer {
 public:
  virtual ~Timer() = default;
  /// Sets the instant of the next wait and cancels a wait under way.
  virtual void expires_at(Instant when) = 0;
  /// True when the instant came, false when cancelled (by cancel, expires_at, or the coroutine's own
  /// cancellation).
  [[nodiscard]] virtual awaitable<bool> wait() = 0;
  virtual void cancel() = 0;
};

/// Threads for work that blocks or grows with bytes (core.md 9). Tasks of at most a few milliseconds or 4 MB,
/// so that long work takes turns.
class BlockingPool {
 public:
  virtual ~BlockingPool() = default;
  /// Runs `work` once on a thread of the pool (in simulation: on the one thread, at the same virtual
  /// instant).
  virtual void post(std::move_only_function<void()> work) = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;
  [[nodiscard]] virtual Executor executor() = 0;
  /// CLOCK_BOOTTIME, milliseconds.
  [[nodiscard]] virtual Instant now() const = 0;
  [[nodiscard]] virtual WallTime wall() const = 0;
  /// 64 random bits (getrandom(2); in simulation from the seed).
  [[nodiscard]] virtual std::uint64_t random() = 0;
  [[nodiscard]] virtual std::unique_ptr<Timer> make_timer() = 0;
  /// Files: opens, reads, writes, hashes (4 threads).
  [[nodiscard]] virtual BlockingPool& file_pool() = 0;
  /// Parsing, compression, image work (2 threads).
  [[nodiscard]] virtual BlockingPool& compute_pool() = 0;

  [[nodiscard]] Key128 random_key() { return Key128{random(), random()}; }
  /// Sleeps until `when`; false if cancelled.
  [[nodiscard]] awaitable<bool> sleep_until(Instant when);
  [[nodiscard]] awaitable<bool> sleep_for(milliseconds duration) { return sleep_until(now() + duration); }
};

/// Runs `work()` on the pool and gives its result on the caller's executor. Not cancellable: it waits for the
/// work. Name the callable first and move it in (style.md 5).
template <class F>
[[nodiscard]] awaitable<std::invoke_result_t<F&>> run_blocking(BlockingPool& pool, F work) {
  using R = std::invoke_result_t<F&>;
  std::optional<std::conditional_t<std::is_void_v<R>, bool, R>> result;
  std::exception_ptr error;
  auto executor = co_await asio::this_coro::executor;
  auto initiate = [&](auto handler) {
    pool.post([&, guard = asio::make_work_guard(executor), finish = std::move(handler)]() mutable {
      try {
        if constexpr (std::is_void_v<R>) {
          work();
          result.emplace(true);
        } else {
          result.emplace(work());
        }
      } catch (...) {
        error = std::current_exception();
      }
      asio::post(guard.get_executor(), std::move(finish));
    });
  };
  co_await asio::async_initiate<decltype(use_awaitable), void()>(initiate, use_awaitable);
  if (error) std::rethrow_exception(error);
  if constexpr (!std::is_void_v<R>) co_return std::move(*result);
}

}  // namespace atelier
