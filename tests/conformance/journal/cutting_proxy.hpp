// SPDX-License-Identifier: MIT
#pragma once
// Servers of the test's own on the loopback: one that hands on to another port and cuts the line on command,
// and one that answers the same to everything. Each has one thread.

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace atelier::journal::redis {

/// Listens on a free port; at its end the thread that serves is joined.
class LoopbackServer {
 public:
  LoopbackServer() : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    REQUIRE(::pipe(wake_) == 0);
  }
  virtual ~LoopbackServer() {
    for (const int fd : {listener_, wake_[0], wake_[1]}) ::close(fd);
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 protected:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    return address;
  }
  void begin() {
    thread_ = std::thread([this] { serve(); });
  }
  /// Called by the last class's destructor.
  void end() {
    REQUIRE(::write(wake_[1], "x", 1) == 1);
    thread_.join();
    for (const auto& [a, b] : lines_) close_line({a, b});
  }
  static void close_line(std::pair<int, int> line) {
    ::close(line.first);
    if (line.second >= 0) ::close(line.second);
  }

  /// The other side of a new connection; -1: there is none.
  virtual int other_side() = 0;
  /// False: the line ends.
  virtual bool on_bytes(int from, int to, bool from_client, std::string_view bytes) = 0;

 private:
  void serve() {
    char piece[65536];
    while (true) {
      std::vector<pollfd> polled{{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
      for (const auto& [client, server] : lines_) {
        polled.push_back({client, POLLIN, 0});
        polled.push_back({server, POLLIN, 0});
      }
      ::poll(polled.data(), polled.size(), -1);
      if (polled[1].revents != 0) return;
      std::vector<std::pair<int, int>> alive;
      for (std::size_t i = 0; i < lines_.size(); ++i) {
        const auto [client, server] = lines_[i];
        bool goes_on = true;
        for (const bool from_client : {true, false}) {
          if (!goes_on || polled[2 + 2 * i + (from_client ? 0 : 1)].revents == 0) continue;
          const int from = from_client ? client : server, to = from_client ? server : client;
          const ssize_t count = ::recv(from, piece, sizeof piece, 0);
          goes_on = count > 0 &&
                    on_bytes(from, to, from_client, std::string_view(piece, static_cast<std::size_t>(count)));
        }
        if (goes_on) {
          alive.push_back(lines_[i]);
        } else {
          close_line(lines_[i]);
        }
      }
      lines_ = std::move(alive);
      if (polled[0].revents != 0) lines_.emplace_back(::accept(listener_, nullptr, nullptr), other_side());
    }
  }

  int listener_, wake_[2] = {-1, -1};
  std::uint16_t port_ = 0;
  std::vector<std::pair<int, int>> lines_;
  std::thread thread_;
};

class CuttingProxy final : public LoopbackServer {
 public:
  explicit CuttingProxy(std::uint16_t target) : target_(target) { begin(); }
  ~CuttingProxy() override { end(); }
  /// The line on which the n-th command with this name from now on is said ends before it is handed on. Once.
  void cut_at(std::string name, int nth) {
    const std::scoped_lock lock(mutex_);
    name_ = std::move(name);
    left_ = nth;
  }

 private:
  int other_side() override {
    const int server = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(target_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return server;
    ::close(server);
    return -1;
  }
  bool on_bytes(int, int to, bool from_client, std::string_view bytes) override {
    const std::scoped_lock lock(mutex_);
    if (from_client && left_ > 0 && bytes.find(name_) != std::string_view::npos && --left_ == 0) return false;
    while (!bytes.empty()) {
      const ssize_t count = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  std::uint16_t target_;
  std::mutex mutex_;
  std::string name_;
  int left_ = 0;
};

class AnsweringServer final : public LoopbackServer {
 public:
  explicit AnsweringServer(std::string answer) : answer_(std::move(answer)) { begin(); }
  ~AnsweringServer() override { end(); }

 private:
  int other_side() override { return -1; }
  bool on_bytes(int from, int, bool, std::string_view) override {
    return ::send(from, answer_.data(), answer_.size(), MSG_NOSIGNAL) > 0;
  }

  std::string answer_;
};

}  // namespace atelier::journal::redis
