// SPDX-License-Identifier: MIT
#pragma once
// The place of one waiting handler: armed, then finished once by an event, an interrupt or its cancellation
// slot.

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include "net/byte_stream.hpp"

namespace atelier::net {

class WaitSlot {
 public:
  explicit WaitSlot(Executor executor) : executor_(executor) {}
  ~WaitSlot() { finish(asio::error::operation_aborted); }
  WaitSlot(const WaitSlot&) = delete;
  WaitSlot& operator=(const WaitSlot&) = delete;

  [[nodiscard]] bool armed() const { return static_cast<bool>(handler_); }

  void arm(ByteStream::WaitHandler handler) {
    finish(asio::error::operation_aborted);
    // Boost 1.81: never move-assign an any_completion_handler, and ask the wrapper for its own slot (net.md
    // 3).
    handler_.swap(handler);
    auto slot = asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) {
      slot.assign([this](asio::cancellation_type) { finish(asio::error::operation_aborted); });
    }
  }

  /// Posts the handler; nothing if none waits.
  void finish(boost::system::error_code error = {}) {
    if (ByteStream::WaitHandler handler = take())
      asio::post(executor_, [h = std::move(handler), error]() mutable { std::move(h)(error); });
  }

  /// The handler, which is the caller's to call; empty if none waits.
  [[nodiscard]] ByteStream::WaitHandler take() {
    ByteStream::WaitHandler handler;
    if (!handler_) return handler;
    handler.swap(handler_);
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.clear();
    return handler;
  }

 private:
  Executor executor_;
  ByteStream::WaitHandler handler_;
};

}  // namespace atelier::net
