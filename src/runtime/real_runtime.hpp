// SPDX-License-Identifier: MIT
#pragma once
// Runtime over the machine: one io_context, CLOCK_BOOTTIME, getrandom(2), thread pools.

#include <memory>

#include "runtime/runtime.hpp"

namespace atelier {

struct PoolSizes {
  unsigned file_threads = 4;
  unsigned compute_threads = 2;
  int compute_niceness = 0;  // more than the process's: it then leaves the processor to the one thread
};

class RealRuntime final : public Runtime {
 public:
  explicit RealRuntime(PoolSizes sizes = {});
  /// Joins the pools first, then destroys what still waits on the io_context.
  ~RealRuntime() override;

  Executor executor() override;
  Instant now() const override;
  WallTime wall() const override;
  std::uint64_t random() override;
  std::unique_ptr<Timer> make_timer() override;
  BlockingPool& file_pool() override;
  BlockingPool& compute_pool() override;

  asio::io_context& context();
  /// Runs until stop() or until no work is left.
  void run();
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier
