// SPDX-License-Identifier: MIT
#pragma once
// Runtime for tests and simulation: time moves only when nothing is ready to run, random numbers come from a
// seed, blocking work runs on the one thread. Same seed, same run.

#include <map>
#include <memory>
#include <optional>

#include "runtime/runtime.hpp"

namespace atelier {

class VirtualRuntime final : public Runtime {
 public:
  explicit VirtualRuntime(std::uint64_t seed = 1);
  ~VirtualRuntime() override;

  Executor executor() override { return context_.get_executor(); }
  Instant now() const override { return now_; }
  WallTime wall() const override { return {1'800'000'000'000 + now_.ms + wall_jumps_.count()}; }
  std::uint64_t random() override;
  std::unique_ptr<Timer> make_timer() override;
  BlockingPool& file_pool() override { return *pool_; }
  BlockingPool& compute_pool() override { return *pool_; }

  /// Runs everything that is ready at this instant.
  void run_ready();
  /// The instant of the next timer, if one is set.
  [[nodiscard]] std::optional<Instant> next_at() const;
  /// As kill -9: from here on nothing of this runtime runs, not even what is ready; may be called from
  /// inside. What waits in it is destroyed with it, or kept by who cannot have destructors run in the middle
  /// of a crash.
  void halt();
  /// Runs what is ready, then jumps from timer to timer until `duration` has passed.
  void advance(milliseconds duration);
  /// Time goes on and nothing runs: the process was stopped, or the machine slept.
  void stand_still(milliseconds duration) { now_ = now_ + duration; }
  /// Somebody set the wall clock, forward or back.
  void jump_wall(milliseconds by) { wall_jumps_ += by; }
  /// Jumps to the next timer and runs what it makes ready; false if no timer is set.
  bool step();

 private:
  class VirtualTimer;
  friend class VirtualTimer;
  using Order = std::pair<Instant, std::uint64_t>;  // equal instants fire in the order in which they were set

  asio::io_context context_{1};
  Instant now_{1'000'000};
  milliseconds wall_jumps_{0};
  std::uint64_t state_;
  std::uint64_t timer_counter_ = 0;
  bool halted_ = false;
  std::map<Order, VirtualTimer*> timers_;
  std::unique_ptr<BlockingPool> pool_;
};

}  // namespace atelier
