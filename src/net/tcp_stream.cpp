// SPDX-License-Identifier: MIT
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "net/byte_stream.hpp"
#include "net/deadline_sweep.hpp"
#include "net/resolve_error.hpp"
#include "net/socket_waits.hpp"
#include "net/wait_slot.hpp"

namespace atelier::net {
namespace {

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

Transfer moved(ssize_t count) {
  if (count >= 0) return Transfer::moved(static_cast<std::size_t>(count));
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Transfer::blocked();
  return Transfer::broken(errno);
}

class TcpStream final : public ByteStream {
 public:
  TcpStream(Executor executor, OwnedFd socket)
      : executor_(executor), socket_(std::move(socket)), waits_(std::in_place, executor, fd()) {
    set_option(fd(), IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd(), IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);
    set_option(fd(), IPPROTO_TCP, TCP_INQ, 1);
  }
  ~TcpStream() override { close(); }

  Transfer try_read(std::span<char> into) override {
    iovec piece{into.data(), into.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
    while (true) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const ssize_t count = ::recvmsg(fd(), &message, MSG_DONTWAIT);
      if (count == 0) return Transfer::ended();
      if (count < 0 && errno == EINTR) continue;
      const Transfer transfer = moved(count);
      empty_if_alive_ = count > 0 && nothing_left(message);
      note(Wait::readable, transfer.state == Transfer::State::would_block);
      return transfer;
    }
  }

  Transfer try_write(std::span<const std::string_view> buffers, More more) override {
    std::array<iovec, kGatherMax> pieces;
    std::size_t count = 0;
    for (std::string_view buffer : buffers.first(std::min(buffers.size(), kGatherMax))) {
      if (buffer.empty()) continue;
      pieces[count++] = iovec{const_cast<char*>(buffer.data()), buffer.size()};
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = count;
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (more == More::yes ? MSG_MORE : 0);
    while (true) {
      const ssize_t written = ::sendmsg(fd(), &message, flags);
      if (written >= 0 || errno != EINTR) return sent(written);
    }
  }

  Transfer try_flush() override { return Transfer::moved(0); }

  Transfer try_file(int file, std::uint64_t offset, std::size_t length, More) override {
    auto position = static_cast<off_t>(offset);
    while (true) {
      const ssize_t written = ::sendfile(fd(), file, &position, length);
      if (written == 0 && length > 0) return Transfer::ended();
      if (written >= 0 || errno != EINTR) return sent(written);
    }
  }

  bool prefers_files() const override { return true; }
  std::size_t buffered() const override { return 0; }

  void async_wait(Wait what, WaitHandler handler) override {
    if (waits_) {
      waits_->async_wait(what, std::move(handler));
    } else {
      WaitSlot(executor_).arm(std::move(handler));  // its end is the abort
    }
  }

  void interrupt() override {
    if (waits_) waits_->interrupt();
  }
  void shutdown_send() override { ::shutdown(fd(), SHUT_WR); }
  void close() override {
    waits_.reset();
    socket_.reset();
  }
  bool is_open() const override { return waits_.has_value(); }
  Executor executor() override { return executor_; }

 private:
  [[nodiscard]] int fd() const { return socket_.get(); }

  void note(Wait what, bool exhausted) {
    if (waits_) waits_->exhausted(what, exhausted);
  }

  Transfer sent(ssize_t count) {
    const Transfer transfer = moved(count);
    note(Wait::writable, transfer.state == Transfer::State::would_block);
    // Not reset meanwhile, for then nothing could be sent.
    if (count > 0 && std::exchange(empty_if_alive_, false)) note(Wait::readable, true);
    return transfer;
  }

  /// tcp(7) has no word about TCP_INQ: with each read the kernel gives the bytes that wait, and at least 1
  /// when the peer has finished (net/ipv4/tcp.c, tcp_inq_hint; Linux 4.18). A reset does not show.
  static bool nothing_left(const msghdr& message) {
    const cmsghdr* const control = CMSG_FIRSTHDR(&message);
    if (control == nullptr || control->cmsg_level != SOL_TCP || control->cmsg_type != TCP_CM_INQ)
      return false;
    int waiting = 0;
    std::memcpy(&waiting, CMSG_DATA(control), sizeof waiting);
    return waiting == 0;
  }

  Executor executor_;
  OwnedFd socket_;
  std::optional<SocketWaits> waits_;  // empty once it is closed
  bool empty_if_alive_ = false;       // the last read left nothing, unless the connection was reset
};

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

Result<std::vector<Address>> resolve(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (is_ip_literal(host) ? AI_NUMERICHOST : AI_ADDRCONFIG);
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error != 0) return std::unexpected(resolve_error(host, error));
  std::vector<Address> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    Address& address = addresses.emplace_back();
    std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
    address.length = entry->ai_addrlen;
  }
  ::freeaddrinfo(list);
  return addresses;
}

awaitable<Result<std::unique_ptr<ByteStream>>> connect_one(Runtime& runtime, const Address& address,
                                                           const std::string& name, Instant deadline) {
  OwnedFd socket(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) co_return std::unexpected(errno_error(errno, "socket"));
  const int fd = socket.get();
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length);
  const int first_error = result == 0 ? 0 : errno;
  if (first_error != 0 && first_error != EINPROGRESS) {
    co_return fail(Errc::unavailable, fmt::format("connect to {}: {}", name, std::strerror(first_error)));
  }
  TimedStream stream(make_tcp_stream(runtime.executor(), std::move(socket)), DeadlineSweep::make(runtime));
  // An empty write says how far it is: it would block, is done, or tells why there is no connection.
  for (Transfer probe = stream->try_write({}); probe.state != Transfer::State::done;
       probe = stream->try_write({})) {
    if (probe.state == Transfer::State::failed)
      co_return fail(Errc::unavailable, fmt::format("connect to {}: {}", name, std::strerror(probe.error)));
    const auto end = co_await stream.wait(ByteStream::Wait::writable, deadline);
    if (end == TimedStream::End::timeout)
      co_return fail(Errc::timeout, fmt::format("connect to {}: no answer", name));
    if (end == TimedStream::End::stopped) co_return fail(Errc::cancelled, "the connect was cancelled");
  }
  co_return stream.release();
}

}  // namespace

Error resolve_error(std::string_view host, int code) {
  // getaddrinfo(3): EAI_NONAME alone says that nobody knows the name.
  const Errc errc = code == EAI_NONAME ? Errc::not_found : Errc::unavailable;
  return {errc, fmt::format("cannot resolve {}: {}", host, ::gai_strerror(code))};
}

bool is_ip_literal(std::string_view host) {
  return host.find_first_not_of("0123456789.") == std::string_view::npos ||
         host.find(':') != std::string_view::npos;
}

std::unique_ptr<ByteStream> make_tcp_stream(Executor executor, OwnedFd socket) {
  return std::make_unique<TcpStream>(executor, std::move(socket));
}

awaitable<Result<std::unique_ptr<ByteStream>>> connect_tcp(Runtime& runtime, std::string host,
                                                           std::uint16_t port, Instant deadline) {
  Result<std::vector<Address>> addresses = fail(Errc::internal, "");
  if (is_ip_literal(host)) {
    addresses = resolve(host, port);
  } else {
    auto work = [host, port] { return resolve(host, port); };
    addresses = co_await run_blocking(runtime.file_pool(), std::move(work));
  }
  if (!addresses) co_return std::unexpected(std::move(addresses).error());
  const std::string name = fmt::format("{}:{}", host, port);
  Error last{Errc::not_found, fmt::format("{} has no address", name)};
  for (const Address& address : *addresses) {
    auto stream = co_await connect_one(runtime, address, name, deadline);
    if (stream || stream.error().code == Errc::timeout || stream.error().code == Errc::cancelled)
      co_return stream;
    last = std::move(stream).error();
  }
  co_return std::unexpected(std::move(last));
}

}  // namespace atelier::net
