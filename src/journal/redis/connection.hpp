// SPDX-License-Identifier: MIT
#pragma once
// One connection to Redis over a ByteStream: hiredis formats the commands and parses the replies (RESP 2,
// redis.io/docs/reference/protocol-spec). One command at a time. One thread.

#include <hiredis/hiredis.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "journal/redis/redis_journal.hpp"
#include "net/deadline_sweep.hpp"

namespace atelier::journal::redis {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
/// Never an error reply: those are Errors.
using Reply = std::unique_ptr<redisReply, FreeReply>;

/// "" for what is no text.
[[nodiscard]] std::string_view text_of(const redisReply& reply);
/// 0 for what is no number.
[[nodiscard]] std::uint64_t number_of(const redisReply& reply);
[[nodiscard]] inline std::span<redisReply* const> elements_of(const redisReply& reply) {
  return {reply.element, reply.type == REDIS_REPLY_ARRAY ? reply.elements : 0};
}

class Connection {
 public:
  /// Connects and says the password. Errors: unavailable, config (the password is wrong).
  [[nodiscard]] static awaitable<Result<std::unique_ptr<Connection>>> open(
      Runtime& runtime, std::shared_ptr<net::DeadlineSweep> sweep, const Options& options);

  /// The first word of an error reply decides its code: OOM, MISCONF -> disk_full; NOAUTH, WRONGPASS, NOPERM
  /// -> config; all others -> unavailable. `what` begins with that word, but for NOAUTH. If no answer comes,
  /// or none that can be understood: unavailable, and is_open() is false.
  [[nodiscard]] awaitable<Result<Reply>> command(std::vector<std::string_view> words, milliseconds patience);
  /// Sends a command without waiting for its answer, as far as it goes at once, unless another one is under
  /// way; then the connection ends.
  void say_and_close(std::vector<std::string_view> words);
  /// Ends a command under way with unavailable.
  void close() { stream_->close(); }
  [[nodiscard]] bool is_open() const { return stream_->is_open(); }

 private:
  struct FreeReader {
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };

  Connection(std::unique_ptr<net::ByteStream> stream, std::shared_ptr<net::DeadlineSweep> sweep)
      : stream_(std::move(stream), std::move(sweep)), reader_(redisReaderCreate()) {}

  [[nodiscard]] awaitable<Result<void>> send(std::string_view bytes, Instant deadline);
  [[nodiscard]] awaitable<Result<Reply>> receive(Instant deadline);

  net::TimedStream stream_;
  bool under_way_ = false;  // a command
  std::unique_ptr<redisReader, FreeReader> reader_;
  std::vector<char> piece_ = std::vector<char>(64 << 10);  // what a read takes
};

}  // namespace atelier::journal::redis
