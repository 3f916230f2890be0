// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include "net/websocket.hpp"

namespace atelier::net {

OutgoingQueue::OutgoingQueue(Runtime& runtime, WebSocket& socket, OutgoingLimits limits)
    : socket_(socket), limits_(limits), wake_(runtime.executor()) {
  socket_.when_ended([this] {
    ended_ = true;
    wake_.finish();
  });
}

OutgoingQueue::~OutgoingQueue() { socket_.when_ended(nullptr); }

OutgoingQueue::Pushed OutgoingQueue::push(Message message) {
  return enqueue({std::move(message), std::nullopt, false});
}

OutgoingQueue::Pushed OutgoingQueue::push_large(Message message) {
  if (closing_) return Pushed::closed;
  const std::size_t size = message.view().size();
  if (large_bytes_ > 0 && large_bytes_ + size > limits_.large_bytes_max) return overflow();
  large_bytes_ += size;
  waiting_.push_back({std::move(message), std::nullopt, true});
  wake_.finish();
  return Pushed::queued;
}

OutgoingQueue::Pushed OutgoingQueue::push_latest(Message message, std::uint64_t key) {
  if (closing_) return Pushed::closed;
  // Searched from the back: the one with the same key is the newest but few.
  const auto found =
      std::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Entry& e) { return e.key == key; });
  if (found != waiting_.rend()) {
    bytes_ = bytes_ - found->message.view().size() + message.view().size();
    found->message = std::move(message);
    return Pushed::replaced;
  }
  if (bytes_ + message.view().size() > limits_.latest_bytes_max) return Pushed::dropped;
  return enqueue({std::move(message), key, false});
}

OutgoingQueue::Pushed OutgoingQueue::enqueue(Entry entry) {
  if (closing_) return Pushed::closed;
  const std::size_t size = entry.message.view().size();
  if (bytes_ + size > limits_.bytes_max || waiting_.size() >= limits_.messages_max) return overflow();
  bytes_ += size;
  waiting_.push_back(std::move(entry));
  wake_.finish();
  return Pushed::queued;
}

OutgoingQueue::Pushed OutgoingQueue::overflow() {
  overflowed_ = true;
  waiting_.clear();
  bytes_ = large_bytes_ = 0;
  close(CloseCode::try_again_later, "too slow: too much was waiting for you");
  return Pushed::closed;
}

void OutgoingQueue::close(CloseCode code, std::string reason) {
  if (std::exchange(closing_, true)) return;
  close_code_ = code;
  close_reason_ = std::move(reason);
  wake_.finish();
}

awaitable<void> OutgoingQueue::changed() {
  auto initiate = [this](auto handler) { wake_.arm(ByteStream::WaitHandler(std::move(handler))); };
  const auto result =
      co_await asio::async_initiate<decltype(as_tuple_awaitable), void(boost::system::error_code)>(
          initiate, as_tuple_awaitable);
  static_cast<void>(result);
}

awaitable<void> OutgoingQueue::run() {
  while (true) {
    if (waiting_.empty()) {
      if (closing_ || ended_) break;
      co_await changed();
      continue;
    }
    Message message = std::move(waiting_.front().message);
    (waiting_.front().large ? large_bytes_ : bytes_) -= message.view().size();
    waiting_.pop_front();
    const auto written = co_await socket_.write(std::move(message), kNoDeadline);
    if (!written) break;
  }
  closing_ = true;
  waiting_.clear();
  bytes_ = large_bytes_ = 0;
  co_await socket_.close(close_code_, std::move(close_reason_));
}

}  // namespace atelier::net
