// SPDX-License-Identifier: MIT
#include "gateway/gateway.hpp"

#include "gateway/access.hpp"

namespace atelier::gateway {

awaitable<net::Response> Gateway::handle(net::Request& request) {
  const std::string_view path = request.path();
  // Machines that look after this server ask by whatever name they know it.
  const bool open = path == "/health/ping";
  if (!open && !host_accepted(request.host, options_.domain)) {
    co_return net::Response::text(421, "This server does not answer to that name. Its own name is DOMAIN.");
  }
  if (!open && !origin_accepted(request)) co_return net::Response(403);  // as ComfyUI: without a word
  if (path.starts_with("/user/")) co_return co_await participant_.handle(request);
  if (path.starts_with("/worker/") && worker_) co_return co_await worker_(request);
  if (auto answer = co_await public_.handle(request)) co_return std::move(*answer);
  co_return co_await participant_.handle_escaped(request);
}

}  // namespace atelier::gateway
