// SPDX-License-Identifier: MIT
#pragma once
// Waiting for a socket to become readable or writable, without a system call for each wait.

#include <cstdint>

#include "net/byte_stream.hpp"

namespace atelier::net {

/// The waits of one socket. The kernel reports changes only (EPOLLET); whoever reads and writes says with
/// exhausted() that there was nothing left, and a wait without that ends at once. One thread.
class SocketWaits {
 public:
  /// `fd` must be open as long as this lives, and be closed right after.
  SocketWaits(Executor executor, int fd);
  ~SocketWaits();
  SocketWaits(const SocketWaits&) = delete;
  SocketWaits& operator=(const SocketWaits&) = delete;

  /// What the last read (write) left: true if the next one would block, false if nobody knows.
  void exhausted(ByteStream::Wait what, bool yes);
  /// As ByteStream::async_wait; an error of the kernel's when it cannot watch the socket. A wait that its
  /// slot has cancelled keeps the executor busy until interrupt() or the end of this.
  void async_wait(ByteStream::Wait what, ByteStream::WaitHandler handler);
  void interrupt();

 private:
  class Registration;
  Registration* registration_;  // lives until what it queued with Asio has come back
};

}  // namespace atelier::net
