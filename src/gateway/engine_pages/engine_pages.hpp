// SPDX-License-Identifier: MIT
#pragma once
// The last resort: a worker's own ComfyUI as it is, for the instructor, on a listener of its own
// (docs/decisions/gateway-2026-11-29-engine-pages.md). A ticket of the API opens a session, whose requests go
// through a tunnel to that ComfyUI. One thread.

#include <string>
#include <string_view>

#include "gateway/engine_pages/engine_sessions.hpp"
#include "gateway/worker_link/worker_link.hpp"
#include "net/http.hpp"
#include "net/http_client.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

struct EnginePagesOptions {
  /// Where browsers reach the listener: scheme, host and port. The host 0.0.0.0 or [::] stands for whatever
  /// host name the instructor asks the API at.
  net::Url url;
};

class EnginePages {
 public:
  /// The link outlives it.
  EnginePages(Runtime& runtime, WorkerLink& link, EnginePagesOptions options);

  struct Ticket {
    std::string ticket, path, url;
  };
  /// For the ComfyUI of a slot; `api_host` is the Host of the request that asks for it. Errors: conflict (the
  /// worker is not connected, or the configured URL is the API's own origin), not_found (no such slot),
  /// queue_full.
  [[nodiscard]] Result<Ticket> make_ticket(EnginePlace place, std::string_view api_host);

  /// Everything on the listener.
  [[nodiscard]] awaitable<net::Response> handle(net::Request& request);

 private:
  [[nodiscard]] std::string cookie_name(const net::Request& request) const;
  [[nodiscard]] std::string configured_url() const;
  net::Response open(const net::Request& request);
  awaitable<net::Response> forward(net::Request& request, std::unique_ptr<net::ByteStream> tunnel);
  /// What is said through it ends with the session, at `until`.
  awaitable<net::Response> forward_socket(const net::Request& request,
                                          std::unique_ptr<net::ByteStream> tunnel, Instant until);

  Runtime& runtime_;
  WorkerLink& link_;
  EnginePagesOptions options_;
  EngineSessions sessions_;
  net::HttpClient client_;
};

}  // namespace atelier::gateway
