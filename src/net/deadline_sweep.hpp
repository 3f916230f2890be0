// SPDX-License-Identifier: MIT
#pragma once
// Time limits as a field and one sweep per second, instead of a timer per read (net.md 2.7). One thread.

#include <functional>
#include <memory>

#include "net/wait_slot.hpp"
#include "runtime/runtime.hpp"

namespace atelier::net {

class DeadlineSweep : public std::enable_shared_from_this<DeadlineSweep> {
 public:
  /// The timer runs only while there are entries.
  [[nodiscard]] static std::shared_ptr<DeadlineSweep> make(Runtime& runtime);
  ~DeadlineSweep();

  [[nodiscard]] Instant now() const { return runtime_.now(); }
  [[nodiscard]] Runtime& runtime() const { return runtime_; }

  /// A deadline that can be set again and again. When it has passed, it is cleared and `on_expired` called;
  /// that may set it again and may destroy this or any other entry.
  class Entry {
   public:
    Entry(std::shared_ptr<DeadlineSweep> sweep, std::move_only_function<void()> on_expired);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    void set(Instant when) { when_ = when; }
    void clear() { when_ = kNever; }

   private:
    friend class DeadlineSweep;
    static constexpr Instant kNever{INT64_MAX};
    std::shared_ptr<DeadlineSweep> sweep_;
    std::move_only_function<void()> on_expired_;
    Instant when_ = kNever;
    Entry* before_ = nullptr;
    Entry* after_ = nullptr;
  };

 private:
  explicit DeadlineSweep(Runtime& runtime);
  void add(Entry& entry);
  void remove(Entry& entry);
  void sweep();
  static awaitable<void> run(std::shared_ptr<DeadlineSweep> self);

  Runtime& runtime_;
  std::unique_ptr<Timer> timer_;
  Entry* first_ = nullptr;
  Entry* next_ = nullptr;  // where the sweep under way goes on
  bool running_ = false;
};

/// One coroutine waits, somebody else completes; with a deadline.
class Waiter {
 public:
  enum class End { done, timeout, cancelled };

  explicit Waiter(std::shared_ptr<DeadlineSweep> sweep);
  /// Before or after wait().
  void complete();
  [[nodiscard]] awaitable<End> wait(Instant deadline);

 private:
  WaitSlot slot_;
  DeadlineSweep::Entry deadline_;
  bool done_ = false;
  bool expired_ = false;
};

/// A stream and the one deadline of whoever waits on it.
class TimedStream {
 public:
  enum class End { ready, timeout, stopped };  // stopped: interrupted, closed or cancelled

  TimedStream(std::unique_ptr<ByteStream> stream, std::shared_ptr<DeadlineSweep> sweep);

  [[nodiscard]] awaitable<End> wait(ByteStream::Wait what, Instant deadline);
  [[nodiscard]] Instant now() const { return sweep_->now(); }
  [[nodiscard]] const std::shared_ptr<DeadlineSweep>& sweep() const { return sweep_; }
  ByteStream* operator->() const { return stream_.get(); }
  ByteStream& operator*() const { return *stream_; }
  [[nodiscard]] std::unique_ptr<ByteStream> release() { return std::move(stream_); }

 private:
  std::unique_ptr<ByteStream> stream_;
  std::shared_ptr<DeadlineSweep> sweep_;
  DeadlineSweep::Entry deadline_;
  bool expired_ = false;
};

}  // namespace atelier::net
