// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only, included by websocket.cpp: a ByteStream in the shape that Beast's websocket::stream
// wants (AsyncReadStream, AsyncWriteStream, teardown). The operations are ordinary functions behind
// any_completion_handler, so that Beast's templates are instantiated over one handler type.

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/role.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "net/byte_stream.hpp"

namespace atelier::net {

/// What the operations share; outlives them, because each holds it.
struct BeastStreamState : std::enable_shared_from_this<BeastStreamState> {
  using MoveHandler = asio::any_completion_handler<void(boost::system::error_code, std::size_t)>;
  using EndHandler = asio::any_completion_handler<void(boost::system::error_code)>;

  BeastStreamState(std::unique_ptr<ByteStream> bytes, Runtime& r, std::string first)
      : stream(std::move(bytes)),
        runtime(r),
        first_bytes(std::move(first)),
        last_heard(r.now()),
        last_sent(last_heard) {}

  void read(asio::mutable_buffer into, MoveHandler handler);
  void write(std::span<const std::string_view> buffers, MoveHandler handler);
  /// FIN, then reads and drops until the peer has ended, too, so that our close frame is not lost in a reset.
  void end(EndHandler handler);

  std::unique_ptr<ByteStream> stream;
  Runtime& runtime;
  std::string first_bytes;  // came with the handshake's head
  Instant last_heard, last_sent;
  std::optional<Instant> ending_since;  // whoever owns this closes the stream when it lasts too long

 private:
  void post(MoveHandler handler, boost::system::error_code error, std::size_t bytes);
};

class BeastStream {
 public:
  using executor_type = Executor;

  explicit BeastStream(std::shared_ptr<BeastStreamState> state) : state_(std::move(state)) {}
  [[nodiscard]] executor_type get_executor() const noexcept { return state_->stream->executor(); }
  [[nodiscard]] BeastStreamState& state() const { return *state_; }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    asio::mutable_buffer into;
    for (auto it = asio::buffer_sequence_begin(buffers);
         it != asio::buffer_sequence_end(buffers) && into.size() == 0; ++it) {
      into = asio::mutable_buffer(*it);
    }
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [state = state_, into](auto handler) {
          state->read(into, BeastStreamState::MoveHandler(std::move(handler)));
        },
        token);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    std::array<std::string_view, ByteStream::kGatherMax> pieces;
    std::size_t count = 0;
    for (auto it = asio::buffer_sequence_begin(buffers);
         it != asio::buffer_sequence_end(buffers) && count < pieces.size(); ++it) {
      const asio::const_buffer piece(*it);
      if (piece.size() > 0) pieces[count++] = {static_cast<const char*>(piece.data()), piece.size()};
    }
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [state = state_, pieces, count](auto handler) {
          state->write(std::span(pieces).first(count), BeastStreamState::MoveHandler(std::move(handler)));
        },
        token);
  }

 private:
  std::shared_ptr<BeastStreamState> state_;
};

inline void beast_close_socket(BeastStream& stream) { stream.state().stream->close(); }

inline void teardown(boost::beast::role_type, BeastStream& stream, boost::system::error_code& error) {
  error = {};
  stream.state().stream->close();
}

template <class Handler>
void async_teardown(boost::beast::role_type, BeastStream& stream, Handler&& handler) {
  stream.state().end(BeastStreamState::EndHandler(std::forward<Handler>(handler)));
}

}  // namespace atelier::net
