// SPDX-License-Identifier: MIT
#pragma once
// One child process of `atelier up`: started with its output in a pipe, dies with its parent.

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.hpp"

namespace atelier::app {

struct Child {
  std::string name;                    // the prefix of its log lines
  std::vector<std::string> arguments;  // of this program: {"serve", "--port", "8080"}
  pid_t pid = -1;
  int out = -1, err = -1;          // read ends, non-blocking
  std::string out_rest, err_rest;  // unfinished lines

  [[nodiscard]] bool running() const { return pid > 0; }
  /// Error io when the system has no process or descriptor left.
  [[nodiscard]] Result<void> start();
  void signal(int number) const;
  void close_pipes();
};

/// Takes what can be read from `fd` and gives its whole lines; false at the end of the stream.
bool read_lines(int fd, std::string& rest, std::vector<std::string>& lines);

}  // namespace atelier::app
