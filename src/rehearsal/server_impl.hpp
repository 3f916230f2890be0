// SPDX-License-Identifier: MIT
#pragma once
// Private to server.cpp, routes_run.cpp, routes_files.cpp and routes_facts.cpp: the state behind the routes.

#include <span>
#include <vector>

#include "net/http_server.hpp"
#include "rehearsal/server.hpp"
#include "runtime/task_group.hpp"

namespace atelier::rehearsal {

/// One request on its way to a handler.
struct Call {
  net::Request& request;
  std::vector<std::string> arguments;  // decoded path segments that stood for '*'
};

struct ServerState {
  ServerState(Runtime& r, ServerOptions o);

  awaitable<net::Response> handle(net::Request& request);
  net::Response open_socket(const net::Request& request);
  awaitable<void> serve_socket(std::string sid, std::unique_ptr<net::WebSocket> socket);

  Runtime& runtime;
  ServerOptions options;
  Clients clients;
  Engine engine;
  TaskGroup tasks;
  net::HttpServer http;
};

using RouteHandler = awaitable<net::Response> (*)(ServerState& server, Call& call);

struct Route {
  net::Method method;
  std::string_view path;  // segments; '*' takes any one
  RouteHandler run;
  enum class Where { both, only_under_api, only_bare } where = Where::both;
};

[[nodiscard]] std::span<const Route> run_routes();   // prompt, queue, interrupt, history, jobs
[[nodiscard]] std::span<const Route> file_routes();  // upload, view
[[nodiscard]] std::span<const Route> fact_routes();  // object_info, system_stats, ...

/// Of a request's body; the error is a readable 400 or 413.
[[nodiscard]] awaitable<std::expected<comfy::Json, net::Response>> read_json(net::Request& request);

/// `{"supports_preview_metadata":true,...}`: what /features and the socket say.
[[nodiscard]] std::string feature_flags();
inline constexpr std::uint64_t kUploadBytesMax = 100 << 20;

}  // namespace atelier::rehearsal
