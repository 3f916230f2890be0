// SPDX-License-Identifier: MIT
#include "runtime/real_runtime.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <boost/asio/basic_waitable_timer.hpp>

#include <array>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace atelier {
namespace {

using SteadyTimer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                               asio::wait_traits<std::chrono::steady_clock>, Executor>;

std::int64_t clock_ms(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1'000'000;
}

class RealTimer final : public Timer {
 public:
  explicit RealTimer(Executor executor) : timer_(executor) {}
  void expires_at(Instant when) override {
    const std::int64_t left = when.ms - clock_ms(CLOCK_BOOTTIME);
    // A year is as good as for ever, and keeps the arithmetic of chrono in range.
    timer_.expires_after(milliseconds{std::clamp<std::int64_t>(left, 0, 365LL * 86'400'000)});
  }
  awaitable<bool> wait() override {
    auto result = co_await timer_.async_wait(as_tuple_awaitable);
    co_return !std::get<0>(result);
  }
  void cancel() override { timer_.cancel(); }

 private:
  SteadyTimer timer_;
};

class ThreadPool final : public BlockingPool {
 public:
  ThreadPool(unsigned threads, int niceness) {
    for (unsigned i = 0; i < threads; ++i) {
      threads_.emplace_back([this, niceness] {
        if (niceness > 0) {
          [[maybe_unused]] const int now = ::nice(niceness);  // on Linux: of this thread
        }
        work();
      });
    }
  }
  ~ThreadPool() override {
    {
      std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void post(std::move_only_function<void()> task) override {
    {
      std::scoped_lock lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
      if (tasks_.empty()) return;  // stopping, and everything posted has run
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::move_only_function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

struct RealRuntime::Impl {
  explicit Impl(PoolSizes sizes)
      : files(std::make_unique<ThreadPool>(sizes.file_threads, 0)),
        compute(std::make_unique<ThreadPool>(sizes.compute_threads, sizes.compute_niceness)) {}
  asio::io_context context{1};  // one thread: no locks inside asio
  std::unique_ptr<ThreadPool> files, compute;
  std::array<std::uint64_t, 32> random{};  // each is given once: a call of the kernel costs as much as all
  std::size_t random_left = 0;
};

RealRuntime::RealRuntime(PoolSizes sizes) : impl_(std::make_unique<Impl>(sizes)) {}
RealRuntime::~RealRuntime() {
  impl_->files.reset();
  impl_->compute.reset();
}

Executor RealRuntime::executor() { return impl_->context.get_executor(); }
Instant RealRuntime::now() const { return {clock_ms(CLOCK_BOOTTIME)}; }
WallTime RealRuntime::wall() const { return {clock_ms(CLOCK_REALTIME)}; }

std::uint64_t RealRuntime::random() {
  Impl& self = *impl_;
  if (self.random_left == 0) {
    if (getrandom(self.random.data(), sizeof self.random, 0) != sizeof self.random)
      throw std::system_error(errno, std::generic_category(), "getrandom");
    self.random_left = self.random.size();
  }
  return std::exchange(self.random[--self.random_left], 0);
}

std::unique_ptr<Timer> RealRuntime::make_timer() { return std::make_unique<RealTimer>(executor()); }
BlockingPool& RealRuntime::file_pool() { return *impl_->files; }
BlockingPool& RealRuntime::compute_pool() { return *impl_->compute; }
asio::io_context& RealRuntime::context() { return impl_->context; }
void RealRuntime::run() { impl_->context.run(); }
void RealRuntime::stop() { impl_->context.stop(); }

}  // namespace atelier
