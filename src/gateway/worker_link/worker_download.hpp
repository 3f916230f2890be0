// SPDX-License-Identifier: MIT
#pragma once
// What a rented machine fetches to become a worker, without a token: GET /worker/join.sh, a script of this
// address, and GET /worker/atelier-worker, the program that it installs. Neither holds a secret.

#include <optional>
#include <string>

#include "files/file_descriptor.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::gateway {

class WorkerDownload {
 public:
  /// `program_path`: of the atelier-worker to offer; "" or a missing file: 404 with a sentence.
  WorkerDownload(Runtime& runtime, std::string program_path)
      : runtime_(runtime), program_path_(std::move(program_path)), hashed_now_(runtime) {}

  /// Nothing if the path is none of its own.
  [[nodiscard]] awaitable<std::optional<net::Response>> handle(net::Request& request);

 private:
  Runtime& runtime_;
  std::string program_path_;
  files::FileKey hashed_;  // of the program with this
  std::string digest_;     // in hex
  bool hashing_ = false;   // one reader of the program at a time
  Signal hashed_now_;
};

/// "https://workshop.example", as whoever asks calls this server; nothing if a shell could mistake it.
[[nodiscard]] std::optional<std::string> server_address(const net::Request& request);
/// The script for the workshop at `server` ("https://workshop.example"), which offers a program with this
/// SHA-256 (hex). Nothing if `server` holds what cannot stand in it: everything but letters, digits and
/// ".-:[]/" of an address.
[[nodiscard]] std::optional<std::string> join_script(std::string_view server, std::string_view digest);

}  // namespace atelier::gateway
