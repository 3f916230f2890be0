// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <fmt/format.h>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstring>

#include "base/match.hpp"
#include "net/message_io.hpp"

namespace atelier::net {
namespace {

constexpr std::size_t kFileStepBytes = 1 << 20;

/// Drops `count` bytes from the front of the list of buffers.
void drop(std::span<std::string_view>& buffers, std::size_t count) {
  while (!buffers.empty() && count >= buffers.front().size()) {
    count -= buffers.front().size();
    buffers = buffers.subspan(1);
  }
  if (!buffers.empty()) buffers.front().remove_prefix(count);
}

awaitable<Result<void>> wait_writable(TimedStream& stream, const SendLimits& limits) {
  return wait_ready(stream, ByteStream::Wait::writable,
                    std::min(limits.deadline, stream.now() + limits.stall));
}

std::unexpected<Error> broken(const Transfer& transfer) {
  return fail(Errc::closed, std::string("the peer is gone: ") + std::strerror(transfer.error));
}

awaitable<Result<void>> flush(TimedStream& stream, SendLimits limits) {
  while (stream->buffered() > 0) {
    ATELIER_CO_TRY_VOID(co_await wait_writable(stream, limits));
    const Transfer transfer = stream->try_flush();
    if (transfer.state == Transfer::State::failed) co_return broken(transfer);
  }
  co_return Result<void>{};
}

awaitable<Result<void>> send_file_steps(TimedStream& stream, int fd, std::uint64_t offset, std::uint64_t left,
                                        SendLimits limits) {
  std::size_t turn = 0;
  while (left > 0) {
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(left, kFileStepBytes));
    const Transfer transfer = stream->try_file(fd, offset, step, More::no);
    switch (transfer.state) {
      case Transfer::State::done:
        offset += transfer.bytes;
        left -= transfer.bytes;
        turn += transfer.bytes;
        break;
      case Transfer::State::would_block:
        ATELIER_CO_TRY_VOID(co_await wait_writable(stream, limits));
        turn = 0;
        break;
      case Transfer::State::end:
        co_return fail(Errc::io, "the file is shorter than it was");
      case Transfer::State::failed:
        co_return broken(transfer);
    }
    if (turn >= kFileStepBytes && left > 0) {  // a fast reader must not keep the thread
      turn = 0;
      co_await asio::post(stream->executor(), use_awaitable);
    }
  }
  co_return co_await flush(stream, limits);
}

awaitable<Result<void>> send_file(TimedStream& stream, std::string_view head, FileBody& file,
                                  SendLimits limits) {
  std::uint64_t sent = 0;
  std::array<std::string_view, 2> buffers{head, {}};
  if (file.length > 0 && file.length <= scratch().size()) {
    // sendfile costs more than it saves below this size (net.md 1).
    const std::span<char> bytes = scratch().first(static_cast<std::size_t>(file.length));
    const ssize_t count = ::pread(file.fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(file.offset));
    if (count < 0) co_return std::unexpected(errno_error(errno, "read a file"));
    buffers[1] = {bytes.data(), static_cast<std::size_t>(count)};
    const Transfer transfer = stream->try_write(buffers);
    if (transfer.state == Transfer::State::failed) co_return broken(transfer);
    // What the kernel did not take comes from the file again: the scratch does not live that long.
    const std::size_t of_head = std::min(head.size(), transfer.bytes);
    sent = transfer.bytes - of_head;
    buffers = {head.substr(of_head), {}};
  }
  if (!buffers[0].empty()) {
    const More more = file.length > 0 ? More::yes : More::no;
    ATELIER_CO_TRY_VOID(co_await write_all(stream, std::span(buffers).first(1), more, limits));
  }
  co_return co_await send_file_steps(stream, file.fd.get(), file.offset + sent, file.length - sent, limits);
}

awaitable<Result<void>> send_stream(TimedStream& stream, std::string_view head, StreamBody& body,
                                    bool chunked, SendLimits limits) {
  std::uint64_t sent = 0;
  while (true) {
    ATELIER_CO_TRY(const std::string piece, co_await body.next());
    sent += piece.size();
    if (body.length && (sent > *body.length || (piece.empty() && sent < *body.length))) {
      co_return fail(Errc::io, fmt::format("a body of {} bytes was promised, {} came", *body.length, sent));
    }
    const std::string size_line = !chunked        ? ""
                                  : piece.empty() ? "0\r\n\r\n"
                                                  : fmt::format("{:x}\r\n", piece.size());
    std::array<std::string_view, 4> buffers{head, size_line, piece, chunked && !piece.empty() ? "\r\n" : ""};
    ATELIER_CO_TRY_VOID(co_await write_all(stream, buffers, More::no, limits));
    head = {};
    if (piece.empty()) co_return Result<void>{};
  }
}

}  // namespace

awaitable<Result<void>> write_all(TimedStream& stream, std::span<std::string_view> buffers, More more,
                                  SendLimits limits) {
  drop(buffers, 0);
  while (!buffers.empty()) {
    const Transfer transfer = stream->try_write(buffers, more);
    if (transfer.state == Transfer::State::failed) co_return broken(transfer);
    drop(buffers, transfer.bytes);
    if (!buffers.empty() && transfer.state == Transfer::State::would_block) {
      ATELIER_CO_TRY_VOID(co_await wait_writable(stream, limits));
    }
  }
  if (stream->buffered() > 0 && more == More::no) co_return co_await flush(stream, limits);
  co_return Result<void>{};
}

std::optional<std::uint64_t> length_of(const Body& body) {
  using Length = std::optional<std::uint64_t>;
  return std::visit(Match{[](const std::monostate&) { return Length(0); },
                          [](const std::string& bytes) { return Length(bytes.size()); },
                          [](const SharedBody& shared) { return Length(shared.view().size()); },
                          [](const FileBody& file) { return Length(file.length); },
                          [](const StreamBody& pulled) { return pulled.length; }},
                    body);
}

awaitable<Result<void>> send_message(TimedStream& stream, std::string_view head, Body& body, bool chunked,
                                     SendLimits limits) {
  if (auto* file = std::get_if<FileBody>(&body)) co_return co_await send_file(stream, head, *file, limits);
  if (auto* pulled = std::get_if<StreamBody>(&body))
    co_return co_await send_stream(stream, head, *pulled, chunked, limits);
  std::array<std::string_view, 2> buffers{head, {}};
  if (const auto* bytes = std::get_if<std::string>(&body)) buffers[1] = *bytes;
  if (const auto* shared = std::get_if<SharedBody>(&body)) buffers[1] = shared->view();
  co_return co_await write_all(stream, buffers, More::no, limits);
}

}  // namespace atelier::net
