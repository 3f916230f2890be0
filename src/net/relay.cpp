// SPDX-License-Identifier: MIT
#include "net/relay.hpp"

#include <boost/asio/async_result.hpp>

#include <exception>
#include <string>
#include <utility>

#include "runtime/task_group.hpp"

namespace atelier::net {
namespace {

constexpr std::size_t kPieceBytes = 64 << 10;
constexpr milliseconds kEndTime{5'000};

/// False when interrupted, closed or cancelled.
awaitable<bool> becomes(ByteStream& stream, ByteStream::Wait what) {
  auto initiate = [&stream, what](auto handler) {
    stream.async_wait(what, ByteStream::WaitHandler(std::move(handler)));
  };
  const auto [error] =
      co_await asio::async_initiate<decltype(as_tuple_awaitable), void(boost::system::error_code)>(
          initiate, as_tuple_awaitable);
  co_return !error;
}

/// False if the stream does not take them any more.
awaitable<bool> write_whole(ByteStream& stream, std::string_view bytes) {
  while (!bytes.empty() || stream.buffered() > 0) {
    const bool flushes = bytes.empty();
    const Transfer sent = flushes ? stream.try_flush() : stream.try_write({&bytes, 1});
    if (sent.state == Transfer::State::would_block) {
      if (!co_await becomes(stream, ByteStream::Wait::writable)) co_return false;
      continue;
    }
    if (sent.state != Transfer::State::done) co_return false;
    if (!flushes) bytes.remove_prefix(sent.bytes);
  }
  co_return true;
}

/// Its end closes the stream, whose reader ends by that.
awaitable<void> messages_to_stream(WebSocket& socket, ByteStream& stream) {
  while (true) {
    auto message = co_await socket.read(kNoDeadline);
    if (!message || !co_await write_whole(stream, message->view())) break;
  }
  stream.close();
}

awaitable<void> stream_to_messages(ByteStream& stream, WebSocket& socket) {
  std::string piece;
  while (true) {
    piece.resize(kPieceBytes);
    const Transfer got = stream.try_read(piece);
    if (got.state == Transfer::State::would_block) {
      piece = std::string();  // an idle one shall cost little
      if (!co_await becomes(stream, ByteStream::Wait::readable)) co_return;
      continue;
    }
    if (got.state != Transfer::State::done) co_return;
    piece.resize(got.bytes);
    Message message = Message::binary(std::exchange(piece, {}));
    if (!co_await socket.write(std::move(message), kNoDeadline)) co_return;
  }
}

/// Why the messages of a socket ended, for the other one's close frame.
struct End {
  CloseCode code = CloseCode::going_away;
  std::string reason;
};

End end_of(const WebSocket& socket) {
  const CloseCode code = socket.close_code();
  if (code == CloseCode::none || code == CloseCode::abnormal) return {};
  return {code, socket.close_reason()};
}

awaitable<void> messages_to_messages(WebSocket& from, WebSocket& to, Instant deadline) {
  while (true) {
    auto message = co_await from.read(deadline);
    if (!message) break;
    if (!co_await to.write(std::move(*message), kNoDeadline)) break;
  }
  End end = end_of(from);
  co_await to.close(end.code, std::move(end.reason));  // ends the other direction, which reads from it
}

}  // namespace

awaitable<void> relay(Runtime& runtime, std::unique_ptr<WebSocket> socket,
                      std::unique_ptr<ByteStream> stream) {
  TaskGroup group(runtime);
  group.spawn("relay", messages_to_stream(*socket, *stream));
  std::exception_ptr broken;
  try {
    co_await stream_to_messages(*stream, *socket);
    co_await socket->close(CloseCode::normal, "");
  } catch (...) {
    broken = std::current_exception();  // cancelled: the other direction must end before both do
  }
  socket->drop();
  stream->close();
  (void)co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  (void)co_await group.stop(runtime.now() + kEndTime);
  if (broken) std::rethrow_exception(broken);
}

awaitable<void> relay(Runtime& runtime, std::unique_ptr<WebSocket> one, std::unique_ptr<WebSocket> other,
                      Instant deadline) {
  TaskGroup group(runtime);
  group.spawn("relay", messages_to_messages(*other, *one, deadline));
  std::exception_ptr broken;
  try {
    co_await messages_to_messages(*one, *other, deadline);
  } catch (...) {
    broken = std::current_exception();
  }
  other->drop();
  (void)co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (!broken) co_await one->close(CloseCode::going_away, "");
  one->drop();
  (void)co_await group.stop(runtime.now() + kEndTime);
  if (broken) std::rethrow_exception(broken);
}

}  // namespace atelier::net
