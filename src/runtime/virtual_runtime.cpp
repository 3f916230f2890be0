// SPDX-License-Identifier: MIT
#include "runtime/virtual_runtime.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>

#include <optional>

namespace atelier {

class VirtualRuntime::VirtualTimer final : public Timer {
 public:
  explicit VirtualTimer(VirtualRuntime& runtime) : runtime_(runtime) {}
  ~VirtualTimer() override { cancel(); }

  void expires_at(Instant when) override {
    cancel();
    when_ = when;
  }

  awaitable<bool> wait() override {
    auto initiate = [this](auto handler) {
      // Boost 1.81: any_completion_handler must not be move-assigned (net.md 3), and it takes over the slot
      // of what it wraps: ask the wrapper for its own.
      Handler fresh(std::move(handler));
      handler_.swap(fresh);
      auto slot = asio::get_associated_cancellation_slot(handler_);
      if (slot.is_connected()) slot.assign([this](asio::cancellation_type) { finish(false); });
      key_.emplace(when_, ++runtime_.timer_counter_);
      runtime_.timers_.emplace(*key_, this);
    };
    co_return co_await asio::async_initiate<decltype(use_awaitable), void(bool)>(initiate, use_awaitable);
  }

  void cancel() override { finish(false); }

  void finish(bool fired) {
    if (!key_) return;
    runtime_.timers_.erase(*key_);
    key_.reset();
    Handler handler;
    handler.swap(handler_);
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.clear();
    asio::post(runtime_.context_, [h = std::move(handler), fired]() mutable { std::move(h)(fired); });
  }

 private:
  using Handler = asio::any_completion_handler<void(bool)>;
  VirtualRuntime& runtime_;
  Instant when_{};
  std::optional<Order> key_;
  Handler handler_;
};

namespace {

class InlinePool final : public BlockingPool {
 public:
  explicit InlinePool(asio::io_context& context) : context_(context) {}
  void post(std::move_only_function<void()> work) override { asio::post(context_, std::move(work)); }

 private:
  asio::io_context& context_;
};

}  // namespace

VirtualRuntime::VirtualRuntime(std::uint64_t seed)
    : state_(seed), pool_(std::make_unique<InlinePool>(context_)) {}

VirtualRuntime::~VirtualRuntime() {
  // Frames that still wait hold timers that point here: run their cancellation while the map is alive.
  while (!timers_.empty()) timers_.begin()->second->cancel();
}

std::uint64_t VirtualRuntime::random() {
  // splitmix64 (Steele, Lea, Flood 2014): short, and good enough for simulation.
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::unique_ptr<Timer> VirtualRuntime::make_timer() { return std::make_unique<VirtualTimer>(*this); }

std::optional<Instant> VirtualRuntime::next_at() const {
  if (halted_ || timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

void VirtualRuntime::halt() {
  halted_ = true;
  context_.stop();
}

void VirtualRuntime::run_ready() {
  if (halted_) return;
  context_.restart();
  context_.poll();
}

bool VirtualRuntime::step() {
  run_ready();
  if (halted_ || timers_.empty()) return false;
  const auto [order, timer] = *timers_.begin();
  if (order.first > now_) now_ = order.first;
  timer->finish(true);
  run_ready();
  return true;
}

void VirtualRuntime::advance(milliseconds duration) {
  const Instant end = now_ + duration;
  run_ready();
  while (!halted_ && !timers_.empty() && timers_.begin()->first.first <= end) step();
  now_ = end;
}

}  // namespace atelier
