// SPDX-License-Identifier: MIT
// Closed-loop load of one GET over keep-alive connections, plain or TLS. Light on purpose: bodies of plain
// answers are dropped in the kernel (MSG_TRUNC), so that the server is what is measured.
//   http_load PORT CONNECTIONS SECONDS plain|tls TARGET [HEADER...]  -> one JSON object. Loopback only.
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "closed_loop.hpp"

namespace {

using bench::Clock;

struct Connection {
  int fd = -1;
  SSL* ssl = nullptr;
  std::string head;           // of the answer under way
  std::size_t body_left = 0;  // of it
  bool in_body = false;
  Clock::time_point begun;
};

class Load {
 public:
  Load(int port, std::size_t connections, double seconds, bool tls, std::string request)
      : port_(port), seconds_(seconds), request_(std::move(request)), connections_(connections) {
    if (tls) context_ = SSL_CTX_new(TLS_client_method());
  }

  int run() {
    epoll_ = ::epoll_create1(0);
    for (std::size_t i = 0; i < connections_.size(); ++i) open(i);
    const Clock::time_point begun = Clock::now();
    const auto end =
        begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds_));
    std::vector<epoll_event> events(connections_.size());
    while (Clock::now() < end) {
      const int ready = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 100);
      for (int i = 0; i < ready; ++i) step(connections_[events[static_cast<std::size_t>(i)].data.u64]);
    }
    const double took = std::chrono::duration<double>(Clock::now() - begun).count();
    latencies_.sort();
    fmt::print(
        R"({{"requests":{},"seconds":{:.3f},"status":"{}","body_bytes":{},"p50_ms":{:.3f},"p99_ms":{:.3f}}})"
        "\n",
        latencies_.count(), took, status_, body_bytes_, latencies_.quantile(0.5), latencies_.quantile(0.99));
    return 0;
  }

 private:
  [[noreturn]] static void give_up(std::string_view why) {
    fmt::print(stderr, "http_load: {}\n", why);
    std::exit(1);
  }

  void open(std::size_t index) {
    Connection& connection = connections_[index];
    connection.fd = bench::connect_loopback(port_);
    if (connection.fd < 0) give_up("cannot connect");
    if (context_ != nullptr) {
      connection.ssl = SSL_new(context_);
      SSL_set_fd(connection.ssl, connection.fd);
      if (SSL_connect(connection.ssl) != 1) give_up("no TLS connection");
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = index;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    send(connection);
  }

  void send(Connection& connection) {
    connection.begun = Clock::now();
    const auto length = static_cast<int>(request_.size());
    const ssize_t sent = connection.ssl != nullptr
                             ? SSL_write(connection.ssl, request_.data(), length)
                             : ::send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL);
    if (sent != length) give_up("the server ended a connection");
  }

  /// Reads what is there; the body of a plain answer is not copied.
  ssize_t read(Connection& connection) {
    if (connection.ssl != nullptr)
      return SSL_read(connection.ssl, buffer_.data(), static_cast<int>(buffer_.size()));
    if (connection.in_body)
      return ::recv(connection.fd, buffer_.data(), connection.body_left, MSG_TRUNC | MSG_DONTWAIT);
    return ::recv(connection.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  }

  void step(Connection& connection) {
    do {
      const ssize_t count = read(connection);
      if (count <= 0) {
        if (connection.ssl == nullptr && errno == EAGAIN) return;
        give_up("the server ended a connection");
      }
      take(connection, static_cast<std::size_t>(count));
    } while (connection.ssl != nullptr && SSL_pending(connection.ssl) > 0);
  }

  void take(Connection& connection, std::size_t count) {
    if (connection.in_body) {
      connection.body_left -= std::min(count, connection.body_left);
    } else {
      connection.head.append(buffer_.data(), count);
      const std::size_t end = connection.head.find("\r\n\r\n");
      if (end == std::string::npos) return;
      connection.in_body = true;
      connection.body_left = length_in(std::string_view(connection.head).substr(0, end + 2));
      body_bytes_ = connection.body_left;
      status_ = connection.head.substr(9, 3);
      connection.body_left -= std::min(connection.head.size() - end - 4, connection.body_left);
    }
    if (connection.body_left > 0) return;
    latencies_.add(connection.begun);
    connection.head.clear();
    connection.in_body = false;
    send(connection);
  }

  static std::size_t length_in(std::string_view head) {
    constexpr std::string_view kName = "\r\ncontent-length: ";
    std::string lower(head);
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    const std::size_t at = lower.find(kName);
    if (at == std::string::npos) give_up("an answer without Content-Length");
    return std::strtoull(lower.c_str() + at + kName.size(), nullptr, 10);
  }

  int port_;
  double seconds_;
  std::string request_, status_;
  std::vector<Connection> connections_;
  SSL_CTX* context_ = nullptr;
  int epoll_ = -1;
  std::size_t body_bytes_ = 0;
  bench::Latencies latencies_;
  std::array<char, 64 << 10> buffer_{};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    fmt::print(stderr, "usage: http_load PORT CONNECTIONS SECONDS plain|tls TARGET [HEADER...]\n");
    return 2;
  }
  std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: localhost:{}\r\n", argv[5], argv[1]);
  for (int i = 6; i < argc; ++i) request += fmt::format("{}\r\n", argv[i]);
  request += "\r\n";
  return Load(std::atoi(argv[1]), std::strtoull(argv[2], nullptr, 10), std::atof(argv[3]),
              std::strcmp(argv[4], "tls") == 0, std::move(request))
      .run();
}
