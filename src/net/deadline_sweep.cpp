// SPDX-License-Identifier: MIT
#include "net/deadline_sweep.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace atelier::net {
namespace {

/// Ends when the handler that `begin` is given is called.
template <class Begin>
auto wait_for(Begin begin) {
  auto initiate = [begin](auto handler) { begin(ByteStream::WaitHandler(std::move(handler))); };
  return asio::async_initiate<decltype(as_tuple_awaitable), void(boost::system::error_code)>(
      initiate, as_tuple_awaitable);
}

}  // namespace

std::shared_ptr<DeadlineSweep> DeadlineSweep::make(Runtime& runtime) {
  return std::shared_ptr<DeadlineSweep>(new DeadlineSweep(runtime));
}

DeadlineSweep::DeadlineSweep(Runtime& runtime) : runtime_(runtime), timer_(runtime.make_timer()) {}
DeadlineSweep::~DeadlineSweep() = default;

DeadlineSweep::Entry::Entry(std::shared_ptr<DeadlineSweep> sweep, std::move_only_function<void()> on_expired)
    : sweep_(std::move(sweep)), on_expired_(std::move(on_expired)) {
  sweep_->add(*this);
}

DeadlineSweep::Entry::~Entry() { sweep_->remove(*this); }

void DeadlineSweep::add(Entry& entry) {
  entry.after_ = first_;
  if (first_ != nullptr) first_->before_ = &entry;
  first_ = &entry;
  if (running_) return;
  running_ = true;
  asio::co_spawn(runtime_.executor(), run(shared_from_this()), asio::detached);
}

void DeadlineSweep::remove(Entry& entry) {
  if (next_ == &entry) next_ = entry.after_;
  if (entry.before_ != nullptr) entry.before_->after_ = entry.after_;
  if (entry.after_ != nullptr) entry.after_->before_ = entry.before_;
  if (first_ == &entry) first_ = entry.after_;
  if (first_ == nullptr) timer_->cancel();  // so that an idle program has nothing left to run
}

void DeadlineSweep::sweep() {
  const Instant now = runtime_.now();
  for (Entry* entry = first_; entry != nullptr; entry = next_) {
    next_ = entry->after_;
    if (entry->when_ > now) continue;
    entry->clear();
    entry->on_expired_();
  }
  next_ = nullptr;
}

awaitable<void> DeadlineSweep::run(std::shared_ptr<DeadlineSweep> self) {
  while (self->first_ != nullptr) {
    self->timer_->expires_at(self->runtime_.now() + milliseconds{1000});
    if (co_await self->timer_->wait()) self->sweep();
  }
  self->running_ = false;
}

Waiter::Waiter(std::shared_ptr<DeadlineSweep> sweep)
    : slot_(sweep->runtime().executor()), deadline_(std::move(sweep), [this] {
        expired_ = true;
        slot_.finish(asio::error::operation_aborted);
      }) {}

void Waiter::complete() {
  done_ = true;
  slot_.finish();
}

awaitable<Waiter::End> Waiter::wait(Instant deadline) {
  if (!done_) {
    deadline_.set(deadline);
    expired_ = false;
    static_cast<void>(
        co_await wait_for([this](ByteStream::WaitHandler handler) { slot_.arm(std::move(handler)); }));
    deadline_.clear();
  }
  co_return done_ ? End::done : expired_ ? End::timeout : End::cancelled;
}

TimedStream::TimedStream(std::unique_ptr<ByteStream> stream, std::shared_ptr<DeadlineSweep> sweep)
    : stream_(std::move(stream)), sweep_(std::move(sweep)), deadline_(sweep_, [this] {
        expired_ = true;
        if (stream_) stream_->interrupt();
      }) {}

awaitable<TimedStream::End> TimedStream::wait(ByteStream::Wait what, Instant deadline) {
  expired_ = false;
  deadline_.set(deadline);
  const auto [error] = co_await wait_for(
      [this, what](ByteStream::WaitHandler handler) { stream_->async_wait(what, std::move(handler)); });
  deadline_.clear();
  co_return !error ? End::ready : expired_ ? End::timeout : End::stopped;
}

}  // namespace atelier::net
