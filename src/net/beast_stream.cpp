// SPDX-License-Identifier: MIT
#include "net/beast_stream.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <vector>

#include "net/message_io.hpp"

namespace atelier::net {
namespace {

using boost::system::error_code;

error_code system_error(int number) { return {number, boost::system::system_category()}; }

/// Waits, tries, and waits again until something moved. Its handlers run from the executor, never from the
/// caller.
struct ReadOperation {
  std::shared_ptr<BeastStreamState> state;
  asio::mutable_buffer into;
  BeastStreamState::MoveHandler handler;

  static void start(std::unique_ptr<ReadOperation> operation) {
    ByteStream& stream = *operation->state->stream;
    stream.async_wait(ByteStream::Wait::readable,
                      [operation = std::move(operation)](error_code error) mutable {
                        finish(std::move(operation), error);
                      });
  }
  static void finish(std::unique_ptr<ReadOperation> operation, error_code error) {
    BeastStreamState& state = *operation->state;
    Transfer transfer;
    if (!error) {
      transfer = state.stream->try_read({static_cast<char*>(operation->into.data()), operation->into.size()});
      if (transfer.state == Transfer::State::would_block) return start(std::move(operation));
      if (transfer.state == Transfer::State::end) error = asio::error::eof;
      if (transfer.state == Transfer::State::failed) error = system_error(transfer.error);
      if (transfer.state == Transfer::State::done) state.last_heard = state.runtime.now();
    }
    std::move(operation->handler)(error, error ? 0 : transfer.bytes);
  }
};

struct WriteOperation {
  std::shared_ptr<BeastStreamState> state;
  std::vector<std::string_view> buffers;
  BeastStreamState::MoveHandler handler;

  static void start(std::unique_ptr<WriteOperation> operation) {
    ByteStream& stream = *operation->state->stream;
    stream.async_wait(ByteStream::Wait::writable,
                      [operation = std::move(operation)](error_code error) mutable {
                        finish(std::move(operation), error);
                      });
  }
  static void finish(std::unique_ptr<WriteOperation> operation, error_code error) {
    BeastStreamState& state = *operation->state;
    Transfer transfer;
    if (!error) {
      transfer = state.stream->try_write(operation->buffers);
      if (transfer.state == Transfer::State::would_block) return start(std::move(operation));
      if (transfer.state == Transfer::State::failed) error = system_error(transfer.error);
      if (transfer.state == Transfer::State::done) state.last_sent = state.runtime.now();
    }
    std::move(operation->handler)(error, error ? 0 : transfer.bytes);
  }
};

struct EndOperation {
  std::shared_ptr<BeastStreamState> state;
  BeastStreamState::EndHandler handler;

  static void start(std::unique_ptr<EndOperation> operation) {
    ByteStream& stream = *operation->state->stream;
    stream.async_wait(ByteStream::Wait::readable,
                      [operation = std::move(operation)](error_code error) mutable {
                        finish(std::move(operation), error);
                      });
  }
  static void finish(std::unique_ptr<EndOperation> operation, error_code error) {
    ByteStream& stream = *operation->state->stream;
    if (!error) {
      const Transfer::State got = stream.try_read(scratch()).state;
      if (got == Transfer::State::done || got == Transfer::State::would_block)
        return start(std::move(operation));
    }
    stream.close();
    std::move(operation->handler)(error_code{});
  }
};

}  // namespace

void BeastStreamState::post(MoveHandler handler, error_code error, std::size_t bytes) {
  asio::post(stream->executor(),
             [h = std::move(handler), error, bytes]() mutable { std::move(h)(error, bytes); });
}

void BeastStreamState::read(asio::mutable_buffer into, MoveHandler handler) {
  if (into.size() == 0) return post(std::move(handler), {}, 0);
  if (!first_bytes.empty()) {
    const std::size_t count = std::min(into.size(), first_bytes.size());
    std::copy_n(first_bytes.data(), count, static_cast<char*>(into.data()));
    first_bytes.erase(0, count);
    return post(std::move(handler), {}, count);
  }
  ReadOperation::start(
      std::unique_ptr<ReadOperation>(new ReadOperation{shared_from_this(), into, std::move(handler)}));
}

void BeastStreamState::write(std::span<const std::string_view> buffers, MoveHandler handler) {
  if (buffers.empty()) return post(std::move(handler), {}, 0);
  const Transfer transfer = stream->try_write(buffers);
  switch (transfer.state) {
    case Transfer::State::done:
      last_sent = runtime.now();
      return post(std::move(handler), {}, transfer.bytes);
    case Transfer::State::failed:
      return post(std::move(handler), system_error(transfer.error), 0);
    case Transfer::State::end:
    case Transfer::State::would_block:
      break;
  }
  WriteOperation::start(std::unique_ptr<WriteOperation>(
      new WriteOperation{shared_from_this(), {buffers.begin(), buffers.end()}, std::move(handler)}));
}

void BeastStreamState::end(EndHandler handler) {
  ending_since = runtime.now();
  stream->shutdown_send();
  EndOperation::start(
      std::unique_ptr<EndOperation>(new EndOperation{shared_from_this(), std::move(handler)}));
}

}  // namespace atelier::net
