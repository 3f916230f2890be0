// SPDX-License-Identifier: MIT
#pragma once
// ByteStream: two-way bytes in the readiness model (net.md 2.1). Plain TCP, TLS over
// another stream (tls.hpp) and the in-memory pair of the tests implement it. Nothing here blocks; everything
// runs on the one thread of the executor.

#include <boost/asio/any_completion_handler.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "net/owned_fd.hpp"
#include "runtime/runtime.hpp"

namespace atelier::net {

/// What a try_ operation did. `end` comes from try_read only: the peer has finished sending.
struct Transfer {
  enum class State { done, would_block, end, failed };
  State state = State::done;
  std::size_t bytes = 0;  // with `done`: more than 0, may be less than asked for
  int error = 0;          // errno, with `failed`

  [[nodiscard]] static Transfer moved(std::size_t count) { return {State::done, count, 0}; }
  [[nodiscard]] static Transfer blocked() { return {State::would_block, 0, 0}; }
  [[nodiscard]] static Transfer ended() { return {State::end, 0, 0}; }
  [[nodiscard]] static Transfer broken(int error_number) { return {State::failed, 0, error_number}; }
};

/// `more` = further bytes of the same answer follow at once (MSG_MORE; TLS: keep them for one record).
enum class More { no, yes };

class ByteStream {
 public:
  enum class Wait { readable, writable };
  using WaitHandler = asio::any_completion_handler<void(boost::system::error_code)>;

  virtual ~ByteStream() = default;

  [[nodiscard]] virtual Transfer try_read(std::span<char> into) = 0;
  /// Gather write of at most kGatherMax buffers. A stream may take all bytes into its own buffer: then
  /// buffered() is not 0 and try_flush() must bring it to 0 after wait(writable).
  [[nodiscard]] virtual Transfer try_write(std::span<const std::string_view> buffers,
                                           More more = More::no) = 0;
  /// Sends what the stream itself holds back; `done` with 0 bytes when nothing is left.
  [[nodiscard]] virtual Transfer try_flush() = 0;
  /// Sends up to `length` bytes of a file from `offset` (sendfile, or pread and encrypt). `end`: the file is
  /// shorter.
  [[nodiscard]] virtual Transfer try_file(int fd, std::uint64_t offset, std::size_t length, More more) = 0;
  /// try_file costs less than try_write of the same bytes, because nobody has to look at them.
  [[nodiscard]] virtual bool prefers_files() const { return false; }
  /// Bytes accepted by try_write that the kernel has not got yet.
  [[nodiscard]] virtual std::size_t buffered() const = 0;

  /// Calls `handler` once, never from inside this function: with no error when the stream is (probably) ready
  /// or has failed or ended, with operation_aborted after interrupt(), close() or cancellation by the
  /// handler's slot. One wait of each kind at a time.
  virtual void async_wait(Wait what, WaitHandler handler) = 0;
  /// Ends the waits under way; the stream stays usable.
  virtual void interrupt() = 0;
  /// Says the peer that nothing more will be sent (FIN). Reading goes on.
  virtual void shutdown_send() = 0;
  /// At once, both directions; waits under way end. Idempotent; also done by the destructor.
  virtual void close() = 0;
  [[nodiscard]] virtual bool is_open() const = 0;
  /// The peer speaks TLS.
  [[nodiscard]] virtual bool is_secure() const { return false; }
  [[nodiscard]] virtual Executor executor() = 0;

  static constexpr std::size_t kGatherMax = 8;
};

/// The other end of a connection, as text without brackets ("127.0.0.1", "::1"), and its port.
struct Peer {
  std::string address;
  std::uint16_t port = 0;
};

/// "127.0.0.1", "::1": not a name that has to be resolved.
[[nodiscard]] bool is_ip_literal(std::string_view host);

/// A connected, non-blocking TCP socket (TCP_NODELAY, TCP_USER_TIMEOUT 60 s are set here).
[[nodiscard]] std::unique_ptr<ByteStream> make_tcp_stream(Executor executor, OwnedFd socket);

/// Connects to `host` (name or IP literal; names are resolved on the file pool), one address after the other.
/// Errors: not_found (name), unavailable (refused, unreachable), timeout (`deadline`, 1 s granularity).
[[nodiscard]] awaitable<Result<std::unique_ptr<ByteStream>>> connect_tcp(Runtime& runtime, std::string host,
                                                                         std::uint16_t port,
                                                                         Instant deadline);

/// Two ends in memory with a bounded pipe each way: for what speaks through something that is no socket, and
/// for tests.
struct MemoryPairOptions {
  std::size_t pipe_bytes_max = 64 << 10;
  std::size_t read_bytes_max = SIZE_MAX;   // try_read gives at most this many
  std::size_t write_bytes_max = SIZE_MAX;  // try_write takes at most this many
  /// The n-th try_ operation (from 1) of the first end fails with ECONNRESET, and all after it. 0 = never.
  std::size_t fail_at = 0;
};
struct MemoryPair {
  std::unique_ptr<ByteStream> first, second;
  /// try_ operations of the first end so far.
  std::shared_ptr<const std::size_t> operations;
};
[[nodiscard]] MemoryPair make_memory_pair(Executor executor, MemoryPairOptions options = {});

}  // namespace atelier::net
