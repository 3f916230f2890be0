// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only: reading heads and bodies from a stream and writing messages to it, for server and
// client.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/chunk_decoder.hpp"
#include "net/deadline_sweep.hpp"
#include "net/http.hpp"
#include "net/http_head.hpp"

namespace atelier::net {

/// 64 KB of this thread, for one read or write. Nothing in it survives a co_await (net.md 2.3).
[[nodiscard]] std::span<char> scratch();

/// Waits until `stream` is ready. Errors: timeout, closed (interrupted, closed or cancelled).
[[nodiscard]] awaitable<Result<void>> wait_ready(TimedStream& stream, ByteStream::Wait what,
                                                 Instant deadline);

/// What came and is not used yet.
class MessageInput {
 public:
  explicit MessageInput(TimedStream& stream) : stream_(stream) {}

  struct Head {
    enum class End { complete, refused, timeout, closed };
    End end;
    bool started = false;   // any byte of it came
    std::string_view head;  // with `complete`: valid until the next co_await of the caller
  };
  /// `first_deadline` for the first byte, then `head_time` for the rest.
  [[nodiscard]] awaitable<Head> read_head(HeadScanner& scanner, Instant first_deadline,
                                          milliseconds head_time);

  [[nodiscard]] std::string_view pending() const { return std::string_view(rest_).substr(begin_); }
  void consume(std::size_t count);
  /// Waits and reads once into the rest, which must be empty. False at the end of the stream.
  [[nodiscard]] awaitable<Result<bool>> fill(Instant deadline);
  [[nodiscard]] std::string take_rest();

 private:
  std::optional<Head> judge(HeadScanner& scanner);

  TimedStream& stream_;
  std::string rest_;  // unconsumed from begin_ on; empty while nothing is left over
  std::size_t begin_ = 0;
};

/// How long a body may take.
struct BodyPace {
  milliseconds idle{30'000};          // the longest single wait
  std::optional<milliseconds> grace;  // waiting in all before the minimum rate counts
  std::size_t bytes_per_second_min = 1;
};

class MessageBody final : public BodyReader {
 public:
  enum class Side { server, client };
  MessageBody(TimedStream& stream, MessageInput& input, Framing framing, BodyPace pace, Side side);

  awaitable<Result<std::size_t>> read(std::span<char> into, Instant deadline) override;

  /// The first read sends "100 Continue" first.
  void send_continue_first() { continue_pending_ = true; }
  [[nodiscard]] bool continue_pending() const { return continue_pending_; }
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] bool broken() const { return broken_; }
  /// Bytes left of a Content-Length body.
  [[nodiscard]] std::optional<std::uint64_t> left() const;

 private:
  awaitable<Result<std::size_t>> read_some(std::span<char> into, Instant deadline);
  awaitable<Result<bool>> next_chunk(Instant deadline);
  awaitable<Result<std::size_t>> receive(std::span<char> into, Instant deadline);
  void took(std::size_t count);
  Instant limit(Instant deadline) const;
  awaitable<Result<bool>> fill(Instant deadline);

  TimedStream& stream_;
  MessageInput& input_;
  Framing framing_;
  BodyPace pace_;
  Side side_;
  ChunkDecoder chunks_;
  std::uint64_t bytes_read_ = 0;
  milliseconds waited_{0};
  bool continue_pending_ = false;
  bool likely_more_ = false;
  bool done_ = false;
  bool broken_ = false;
};

struct SendLimits {
  milliseconds stall{60'000};  // without any progress
  Instant deadline = kNoDeadline;
};

/// Writes all of `buffers` (at most ByteStream::kGatherMax). Errors: timeout, closed.
[[nodiscard]] awaitable<Result<void>> write_all(TimedStream& stream, std::span<std::string_view> buffers,
                                                More more, SendLimits limits);
/// Bytes of the body, if known before it is sent.
[[nodiscard]] std::optional<std::uint64_t> length_of(const Body& body);
/// Writes a head and its body; `chunked` frames a stream of unknown length. Errors: timeout, closed, those of
/// the stream; io when a body is shorter than promised. After an error the connection is of no more use.
[[nodiscard]] awaitable<Result<void>> send_message(TimedStream& stream, std::string_view head, Body& body,
                                                   bool chunked, SendLimits limits);

}  // namespace atelier::net
