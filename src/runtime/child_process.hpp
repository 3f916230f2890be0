// SPDX-License-Identifier: MIT
#pragma once
// A program that runs beside this one, with its output (standard output and standard error together) in a
// pipe. It leads a process group of its own; when this process ends in whatever way, even by kill -9, the
// group gets SIGTERM, and SIGKILL 5 s later.

#include <sys/types.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "runtime/runtime.hpp"

namespace atelier {

class ChildProcess {
 public:
  /// `arguments[0]` is looked for in PATH. Errors: io (no process or descriptor left). That it cannot be
  /// executed shows as its exit with 127.
  [[nodiscard]] static Result<std::unique_ptr<ChildProcess>> start(Runtime& runtime,
                                                                   std::vector<std::string> arguments);
  /// Kills what still runs of its group. Waits at most half a second for it: a driver can hold a process.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// Some of its output; "" when nobody can write to the pipe any more. Errors: cancelled, io.
  [[nodiscard]] awaitable<Result<std::string>> read();
  /// Ends a read under way, and each later one, with "".
  void stop_reading();
  /// Until it has ended: how, in words ("exit code 1", "signal 9"). Errors: cancelled, io.
  [[nodiscard]] awaitable<Result<std::string>> wait();
  /// To its whole group.
  void signal(int number) const;

 private:
  ChildProcess(Runtime& runtime, pid_t pid, int pid_fd, int output, int alive)
      : pid_(pid), alive_(alive), ended_(runtime.executor(), pid_fd), output_(runtime.executor(), output) {}

  pid_t pid_;
  int alive_;  // the end of a pipe that only this process holds
  bool reading_ = true;
  asio::posix::basic_stream_descriptor<Executor> ended_, output_;
};

}  // namespace atelier
