// SPDX-License-Identifier: MIT
#pragma once
// A child process that answers requests one at a time over a socket: for work that must not be able to hurt
// this process. It has no environment and no descriptors but that socket (number 3) and standard error.

#include <sys/types.h>

#include <memory>
#include <span>
#include <string>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "base/result.hpp"
#include "runtime/runtime.hpp"

namespace atelier {

class HelperProcess {
 public:
  /// Starts `program` with `arguments`. Errors: io. That it cannot be executed shows at the first exchange.
  [[nodiscard]] static Result<std::unique_ptr<HelperProcess>> start(
      Runtime& runtime, const std::string& program, const std::vector<std::string>& arguments);
  /// Kills it if it still runs.
  ~HelperProcess();
  HelperProcess(const HelperProcess&) = delete;
  HelperProcess& operator=(const HelperProcess&) = delete;

  /// Sends `message` with descriptors (at most 8) and waits for one message of at most 64 KB. One exchange at
  /// a time; after an error the process is of no use any more. Errors: closed (it died), io.
  [[nodiscard]] awaitable<Result<std::string>> exchange(std::string message, std::vector<int> descriptors);
  /// Ends an exchange under way with `closed`.
  void kill();

 private:
  HelperProcess(Runtime& runtime, pid_t pid, int socket) : pid_(pid), socket_(runtime.executor(), socket) {}

  pid_t pid_;
  asio::posix::basic_stream_descriptor<Executor> socket_;
};

}  // namespace atelier
