// SPDX-License-Identifier: MIT
#include "journal/redis/connection.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>

#include "net/tls.hpp"

namespace atelier::journal::redis {
namespace {

using net::Transfer;

struct FreeCommand {
  void operator()(char* bytes) const { redisFreeCommand(bytes); }
};
struct Command {
  std::unique_ptr<char, FreeCommand> bytes;
  std::size_t size = 0;
  [[nodiscard]] std::string_view view() const { return {bytes.get(), size}; }
};

Command format(const std::vector<std::string_view>& words) {
  std::vector<const char*> starts;
  std::vector<std::size_t> lengths;
  for (const std::string_view word : words) {
    starts.push_back(word.data() != nullptr ? word.data() : "");
    lengths.push_back(word.size());
  }
  char* bytes = nullptr;
  const auto size =
      redisFormatCommandArgv(&bytes, static_cast<int>(words.size()), starts.data(), lengths.data());
  if (size < 0) throw std::bad_alloc();
  return {std::unique_ptr<char, FreeCommand>(bytes), static_cast<std::size_t>(size)};
}

std::unexpected<Error> lost(std::string_view why) {
  return fail(Errc::unavailable, fmt::format("the connection to Redis was lost ({})", why));
}

Error error_of(std::string_view text) {
  const std::string_view word = text.substr(0, text.find(' '));
  Errc code = Errc::unavailable;
  if (word == "OOM" || word == "MISCONF") code = Errc::disk_full;
  if (word == "NOAUTH") return {Errc::config, "Redis wants a password: set REDIS_PASSWORD"};
  if (word == "WRONGPASS" || word == "NOPERM") code = Errc::config;
  return {code, std::string(text)};
}

}  // namespace

std::string_view text_of(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_STRING && reply.type != REDIS_REPLY_STATUS && reply.type != REDIS_REPLY_ERROR)
    return {};
  return {reply.str, static_cast<std::size_t>(reply.len)};
}

std::uint64_t number_of(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_INTEGER) return static_cast<std::uint64_t>(reply.integer);
  const std::string_view text = text_of(reply);
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

awaitable<Result<std::unique_ptr<Connection>>> Connection::open(Runtime& runtime,
                                                                std::shared_ptr<net::DeadlineSweep> sweep,
                                                                const Options& options) {
  const Instant deadline = runtime.now() + options.patience;
  const auto unreachable = [&options](const Error& error) {
    return fail(Errc::unavailable,
                fmt::format("Redis at {}:{} cannot be reached: {}", options.host, options.port, error.what));
  };
  auto stream = co_await net::connect_tcp(runtime, options.host, options.port, deadline);
  if (!stream) co_return unreachable(stream.error());
  if (options.tls) {
    ATELIER_CO_TRY(auto context, net::TlsContext::client());
    stream = co_await net::make_tls_client_stream(runtime, std::move(*stream), std::move(context),
                                                  options.host, deadline);
    if (!stream) co_return unreachable(stream.error());
  }
  std::unique_ptr<Connection> connection(new Connection(std::move(*stream), std::move(sweep)));
  if (!options.password.empty()) {
    std::vector<std::string_view> words{"AUTH", options.password};
    auto known = co_await connection->command(std::move(words), options.patience);
    if (!known && known.error().what.starts_with("WRONGPASS"))
      co_return fail(Errc::config, "Redis does not know this password: see REDIS_PASSWORD");
    if (!known && known.error().what.starts_with("ERR"))
      co_return fail(Errc::config, "Redis wants no password, but REDIS_PASSWORD is set");
    if (!known) co_return std::unexpected(std::move(known).error());
  }
  co_return connection;
}

awaitable<Result<Reply>> Connection::command(std::vector<std::string_view> words, milliseconds patience) {
  const Instant deadline = stream_.now() + patience;
  const Command command = format(words);
  if (!stream_->is_open()) co_return lost("it is closed");
  // Without its answer the connection ends: one that comes later would be taken for that of another command.
  struct UnderWay {
    explicit UnderWay(Connection& c) : connection(c) { connection.under_way_ = true; }
    ~UnderWay() {
      connection.under_way_ = false;
      if (!answered) connection.stream_->close();
    }
    Connection& connection;
    bool answered = false;
  } under_way(*this);
  auto sent = co_await send(command.view(), deadline);
  auto reply = sent ? co_await receive(deadline) : Result<Reply>(std::unexpected(sent.error()));
  if (!reply) co_return reply;
  under_way.answered = true;
  if ((*reply)->type == REDIS_REPLY_ERROR) co_return std::unexpected(error_of(text_of(**reply)));
  co_return reply;
}

void Connection::say_and_close(std::vector<std::string_view> words) {
  const Command command = format(words);
  const std::array<std::string_view, 1> buffers{command.view()};
  if (stream_->is_open() && !under_way_) static_cast<void>(stream_->try_write(buffers));
  stream_->close();
}

awaitable<Result<void>> Connection::send(std::string_view bytes, Instant deadline) {
  while (!bytes.empty() || stream_->buffered() > 0) {
    const std::array<std::string_view, 1> buffers{bytes};
    const Transfer transfer = bytes.empty() ? stream_->try_flush() : stream_->try_write(buffers);
    if (transfer.state == Transfer::State::failed) co_return lost(std::strerror(transfer.error));
    if (transfer.state == Transfer::State::done) {
      if (!bytes.empty()) bytes.remove_prefix(transfer.bytes);
      continue;
    }
    if (co_await stream_.wait(net::ByteStream::Wait::writable, deadline) != net::TimedStream::End::ready)
      co_return lost("it does not take what is sent");
  }
  co_return Result<void>{};
}

awaitable<Result<Reply>> Connection::receive(Instant deadline) {
  while (true) {
    void* reply = nullptr;
    if (redisReaderGetReply(reader_.get(), &reply) != REDIS_OK)
      co_return lost(
          fmt::format("what it says is no answer of Redis: {}", redisReaderGetError(reader_.get())));
    if (reply != nullptr) co_return Reply(static_cast<redisReply*>(reply));
    const Transfer transfer = stream_->try_read(piece_);
    switch (transfer.state) {
      case Transfer::State::done:
        if (redisReaderFeed(reader_.get(), piece_.data(), transfer.bytes) != REDIS_OK)
          co_return lost("no memory for its answer");
        continue;
      case Transfer::State::end:
        co_return lost("Redis has closed it");
      case Transfer::State::failed:
        co_return lost(std::strerror(transfer.error));
      case Transfer::State::would_block:
        break;
    }
    switch (co_await stream_.wait(net::ByteStream::Wait::readable, deadline)) {
      case net::TimedStream::End::ready:
        break;
      case net::TimedStream::End::timeout:
        co_return lost("no answer came in time");
      case net::TimedStream::End::stopped:
        co_return lost("it was closed here");
    }
  }
}

}  // namespace atelier::journal::redis
