// SPDX-License-Identifier: MIT
#pragma once
// A redis-server of the test's own, on a free port of the loopback, that keeps what it is given.

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <netinet/in.h>

#include <csignal>
#include <string>
#include <vector>

#include "temp_folder.hpp"

namespace atelier::journal::redis {

class RedisServer {
 public:
  explicit RedisServer(std::vector<std::string> more = {}) : more_(std::move(more)), port_(free_port()) {
    start();
  }
  ~RedisServer() { kill(); }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }

  /// Returns when it takes connections.
  void start() {
    int output[2];
    REQUIRE(::pipe(output) == 0);
    std::vector<std::string> words{"redis-server",    "--port",    std::to_string(port_),
                                   "--bind",          "127.0.0.1", "--dir",
                                   folder_.file("."), "--save",    "",
                                   "--appendonly",    "yes",       "--appendfsync",
                                   "always"};
    words.insert(words.end(), more_.begin(), more_.end());
    child_ = ::fork();
    REQUIRE(child_ >= 0);
    if (child_ == 0) {
      std::vector<char*> arguments;
      for (std::string& word : words) arguments.push_back(word.data());
      arguments.push_back(nullptr);
      ::dup2(output[1], 1);
      ::dup2(output[1], 2);
      ::close(output[0]);
      ::execvp("redis-server", arguments.data());
      ::_exit(127);
    }
    ::close(output[1]);
    std::string said;
    char piece[512];
    while (said.find("eady to accept connections") == std::string::npos) {
      const ssize_t count = ::read(output[0], piece, sizeof piece);
      REQUIRE_MESSAGE(count > 0, "redis-server does not start (tools/deps test installs it): " << said);
      said.append(piece, static_cast<std::size_t>(count));
    }
    log_ = output[0];
  }

  /// SIGKILL, as when its machine dies.
  void kill() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::close(log_);
    child_ = 0;
  }

 private:
  static std::uint16_t free_port() {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    ::close(socket);
    return ntohs(address.sin_port);
  }

  TempFolder folder_;
  std::vector<std::string> more_;
  std::uint16_t port_;
  pid_t child_ = 0;
  int log_ = -1;
};

}  // namespace atelier::journal::redis
