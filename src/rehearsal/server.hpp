// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's HTTP and WebSocket interface in front of the engine: the routes of comfyui-interface.md A1 that
// the worker agent, the conformance cases and small clients use, each with and without /api. It says that it
// is ComfyUI 0.21.0, whose interface it has, and in system_stats that the machine is this engine. Not there:
// user data and settings (empty answers), models (empty lists), logs, the front end itself.

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "rehearsal/engine.hpp"
#include "runtime/runtime.hpp"

namespace atelier::rehearsal {

struct ServerState;  // server_impl.hpp

struct ServerOptions {
  EngineOptions engine;
  std::string name = "rehearsal";  // shown in system_stats and on the index page
};

class Server {
 public:
  /// The folders must exist (Folders::create).
  Server(Runtime& runtime, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Listens and starts the engine; port 0 takes any. Gives the port. Errors: config.
  [[nodiscard]] Result<std::uint16_t> start(const std::string& address, std::uint16_t port);
  /// Interrupts what runs, closes the sockets, stops listening; waits at most until `deadline`.
  [[nodiscard]] awaitable<void> stop(Instant deadline);

 private:
  std::shared_ptr<ServerState> state_;
};

}  // namespace atelier::rehearsal
