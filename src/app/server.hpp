// SPDX-License-Identifier: MIT
#pragma once
// The parts of `atelier serve`, put together in the order in which they may fail: data folder, journal,
// ports.

#include <memory>
#include <string>

#include "base/config.hpp"
#include "runtime/real_runtime.hpp"

namespace atelier::app {

class Server {
 public:
  Server(RealRuntime& runtime, const Config& config);
  ~Server();

  /// Opens the data folder and the journal, replays it, listens. Ports are bound first and listened on last.
  /// Errors: config (exit 2), newer_version (3), io and disk_full (74).
  [[nodiscard]] awaitable<Result<void>> open();
  /// The address to show: "http://127.0.0.1:8080/".
  [[nodiscard]] std::string url() const;
  /// "" without a certificate.
  [[nodiscard]] std::string https_url() const;
  /// Runs until request_stop() or a failed journal; gives the exit code.
  [[nodiscard]] awaitable<int> run();
  void request_stop(int exit_code);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::app
