// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>
#include <memory>

#include "net/message_io.hpp"

namespace atelier::net {
namespace {

constexpr std::size_t kScratchBytes = 64 << 10;
constexpr std::size_t kKeptBytes = 4 << 10;  // an idle connection keeps no more than this

}  // namespace

std::span<char> scratch() {
  static thread_local const std::unique_ptr<char[]> bytes(new char[kScratchBytes]);
  return {bytes.get(), kScratchBytes};
}

awaitable<Result<void>> wait_ready(TimedStream& stream, ByteStream::Wait what, Instant deadline) {
  switch (co_await stream.wait(what, deadline)) {
    case TimedStream::End::ready:
      co_return Result<void>{};
    case TimedStream::End::timeout:
      co_return fail(Errc::timeout, "the peer took too long");
    case TimedStream::End::stopped:
      break;
  }
  co_return fail(Errc::closed, "the connection was closed here");
}

void MessageInput::consume(std::size_t count) {
  begin_ += count;
  if (begin_ < rest_.size()) return;
  begin_ = 0;
  rest_.clear();
  if (rest_.capacity() > kKeptBytes) rest_ = std::string();
}

std::string MessageInput::take_rest() {
  std::string out(pending());
  consume(out.size());
  return out;
}

std::optional<MessageInput::Head> MessageInput::judge(HeadScanner& scanner) {
  switch (scanner.scan(pending())) {
    case HeadScanner::Verdict::incomplete:
      return std::nullopt;
    case HeadScanner::Verdict::refused:
      return Head{Head::End::refused, true, {}};
    case HeadScanner::Verdict::complete:
      break;
  }
  const std::string_view head = scanner.head(pending());
  begin_ += scanner.end();  // not consume(): the view must live until the caller has parsed it
  return Head{Head::End::complete, true, head};
}

awaitable<MessageInput::Head> MessageInput::read_head(HeadScanner& scanner, Instant first_deadline,
                                                      milliseconds head_time) {
  consume(0);
  bool started = !pending().empty();
  if (started) {
    if (auto head = judge(scanner)) co_return *head;
  }
  Instant deadline = started ? stream_.now() + head_time : first_deadline;
  while (true) {
    const auto end = co_await stream_.wait(ByteStream::Wait::readable, deadline);
    if (end == TimedStream::End::timeout) co_return Head{Head::End::timeout, started, {}};
    if (end == TimedStream::End::stopped) co_return Head{Head::End::closed, started, {}};
    const std::span<char> buffer = scratch();
    const Transfer transfer = stream_->try_read(buffer);
    if (transfer.state == Transfer::State::would_block) continue;
    if (transfer.state != Transfer::State::done) co_return Head{Head::End::closed, started, {}};
    if (!started) deadline = stream_.now() + head_time;
    started = true;
    const std::string_view bytes(buffer.data(), transfer.bytes);
    if (!pending().empty()) {
      rest_.append(bytes);
      if (auto head = judge(scanner)) co_return *head;
      continue;
    }
    // The usual case: the whole head came at once and is parsed where it lies.
    const auto verdict = scanner.scan(bytes);
    if (verdict == HeadScanner::Verdict::refused) co_return Head{Head::End::refused, true, {}};
    const std::size_t used = verdict == HeadScanner::Verdict::complete ? scanner.end() : 0;
    if (used < bytes.size()) rest_.assign(bytes.substr(used));
    if (used > 0) co_return Head{Head::End::complete, true, scanner.head(bytes)};
  }
}

awaitable<Result<bool>> MessageInput::fill(Instant deadline) {
  consume(0);
  while (true) {
    ATELIER_CO_TRY_VOID(co_await wait_ready(stream_, ByteStream::Wait::readable, deadline));
    const std::span<char> buffer = scratch();
    const Transfer transfer = stream_->try_read(buffer);
    switch (transfer.state) {
      case Transfer::State::would_block:
        break;
      case Transfer::State::done:
        rest_.assign(buffer.data(), transfer.bytes);
        co_return true;
      case Transfer::State::end:
        co_return false;
      case Transfer::State::failed:
        co_return fail(Errc::closed, std::strerror(transfer.error));
    }
  }
}

MessageBody::MessageBody(TimedStream& stream, MessageInput& input, Framing framing, BodyPace pace, Side side)
    : stream_(stream),
      input_(input),
      framing_(framing),
      pace_(pace),
      side_(side),
      chunks_(side == Side::server ? ChunkDecoder::Trailers::refused : ChunkDecoder::Trailers::skipped),
      done_(framing.kind == Framing::Kind::none) {}

std::optional<std::uint64_t> MessageBody::left() const {
  if (done_) return 0;
  if (framing_.kind != Framing::Kind::length) return std::nullopt;
  return framing_.length - bytes_read_;
}

awaitable<Result<std::size_t>> MessageBody::read(std::span<char> into, Instant deadline) {
  if (done_) co_return std::size_t{0};
  if (broken_) co_return fail(Errc::closed, "the body broke off");
  broken_ = true;  // also if this is cancelled half-way
  if (continue_pending_) {
    continue_pending_ = false;
    std::string_view line = "HTTP/1.1 100 Continue\r\n\r\n";
    ATELIER_CO_TRY_VOID(co_await write_all(stream_, {&line, 1}, More::no, SendLimits{pace_.idle}));
  }
  auto result = co_await read_some(into, deadline);
  if (result) {
    broken_ = false;
  } else if (side_ == Side::client && result.error().code == Errc::bad_request) {
    co_return fail(Errc::protocol, std::move(result.error().what));
  }
  co_return result;
}

awaitable<Result<std::size_t>> MessageBody::read_some(std::span<char> into, Instant deadline) {
  if (framing_.kind == Framing::Kind::chunked) {
    ATELIER_CO_TRY(const bool data, co_await next_chunk(deadline));
    if (!data) {
      done_ = true;
      co_return std::size_t{0};
    }
    into = into.first(std::min<std::uint64_t>(into.size(), chunks_.data_left()));
  } else if (framing_.kind == Framing::Kind::length) {
    into = into.first(std::min<std::uint64_t>(into.size(), framing_.length - bytes_read_));
  }
  // Small pieces of chunks come together with the framing around them.
  if (input_.pending().empty() && framing_.kind == Framing::Kind::chunked && into.size() < scratch().size()) {
    ATELIER_CO_TRY(const bool filled, co_await fill(deadline));
    if (!filled) co_return fail(Errc::closed, "the peer ended the connection inside a body");
  }
  if (const std::string_view pending = input_.pending(); !pending.empty()) {
    const std::size_t count = std::min(pending.size(), into.size());
    std::copy_n(pending.data(), count, into.data());
    input_.consume(count);
    took(count);
    co_return count;
  }
  co_return co_await receive(into, deadline);
}

/// False at the end of the body.
awaitable<Result<bool>> MessageBody::next_chunk(Instant deadline) {
  while (chunks_.data_left() == 0) {
    ATELIER_CO_TRY(const std::size_t used, chunks_.take_framing(input_.pending()));
    input_.consume(used);
    if (chunks_.done()) co_return false;
    if (chunks_.data_left() > 0) break;
    ATELIER_CO_TRY(const bool filled, co_await fill(deadline));
    if (!filled) co_return fail(Errc::closed, "the peer ended the connection inside a body");
  }
  co_return true;
}

awaitable<Result<std::size_t>> MessageBody::receive(std::span<char> into, Instant deadline) {
  while (true) {
    if (!likely_more_) {
      const Instant start = stream_.now();
      ATELIER_CO_TRY_VOID(co_await wait_ready(stream_, ByteStream::Wait::readable, limit(deadline)));
      waited_ += stream_.now() - start;
    }
    const Transfer transfer = stream_->try_read(into);
    likely_more_ = transfer.state == Transfer::State::done && transfer.bytes == into.size();
    switch (transfer.state) {
      case Transfer::State::would_block:
        break;
      case Transfer::State::done:
        took(transfer.bytes);
        co_return transfer.bytes;
      case Transfer::State::end:
        if (framing_.kind != Framing::Kind::until_close) {
          co_return fail(Errc::closed, "the peer ended the connection inside a body");
        }
        done_ = true;
        co_return std::size_t{0};
      case Transfer::State::failed:
        co_return fail(Errc::closed, std::strerror(transfer.error));
    }
  }
}

awaitable<Result<bool>> MessageBody::fill(Instant deadline) {
  const Instant start = stream_.now();
  auto result = co_await input_.fill(limit(deadline));
  waited_ += stream_.now() - start;
  co_return result;
}

void MessageBody::took(std::size_t count) {
  bytes_read_ += count;
  if (framing_.kind == Framing::Kind::chunked) chunks_.data_taken(count);
  if (framing_.kind == Framing::Kind::length && bytes_read_ == framing_.length) done_ = true;
}

/// Only waiting for the peer counts, not a handler that writes to a slow disk meanwhile.
Instant MessageBody::limit(Instant deadline) const {
  Instant earliest = std::min(deadline, stream_.now() + pace_.idle);
  if (pace_.grace) {
    const auto earned =
        milliseconds{static_cast<std::int64_t>(bytes_read_ / pace_.bytes_per_second_min * 1000)};
    earliest = std::min(earliest, stream_.now() + (*pace_.grace + earned - waited_));
  }
  return earliest;
}

}  // namespace atelier::net
