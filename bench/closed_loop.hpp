// SPDX-License-Identifier: MIT
#pragma once
// What the load programs have in common: keep-alive connections to loopback, and the times of their answers.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;

/// A blocking socket with TCP_NODELAY; -1 if nobody listens.
inline int connect_loopback(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -1;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

class Latencies {
 public:
  void add(Clock::time_point begun) {
    ms_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begun).count());
  }
  [[nodiscard]] std::size_t count() const { return ms_.size(); }
  void sort() { std::ranges::sort(ms_); }
  /// After sort(): the `q` quantile in milliseconds; 0 if there are none.
  [[nodiscard]] double quantile(double q) const {
    if (ms_.empty()) return 0.0;
    return ms_[std::min(ms_.size() - 1, static_cast<std::size_t>(q * static_cast<double>(ms_.size())))];
  }

 private:
  std::vector<double> ms_;
};

}  // namespace bench
