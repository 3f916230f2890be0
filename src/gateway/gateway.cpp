// SPDX-License-Identifier: MIT
#include "gateway/gateway.hpp"

#include <fmt/format.h>

#include "gateway/access.hpp"
#include "gateway/instructor/instructor_face.hpp"
#include "gateway/seat_access.hpp"

namespace atelier::gateway {
namespace {

std::optional<ParticipantId> seat_of(const net::Request& request, const GatewayOptions& options) {
  if (request.listener_mark != 0) return ParticipantId{request.listener_mark};
  return seat_of_host(request.host, options.domain, options.num_users);
}

}  // namespace

awaitable<net::Response> Gateway::handle(net::Request& request) {
  const std::string_view path = request.path();
  // Machines that look after this server ask by whatever name they know it.
  const bool open = path == "/health/ping";
  if (!open && !host_accepted(request.host, options_.domain)) {
    co_return net::Response::text(421, "This server does not answer to that name. Its own name is DOMAIN.");
  }
  if (!open && !origin_accepted(request)) co_return net::Response(403);  // as ComfyUI: without a word
  if (const auto seat = seat_of(request, options_); seat && !open) {
    co_return co_await handle_seat(request, *seat);
  }
  if (path.starts_with(kUserRoot)) co_return co_await participant_.handle(request);
  if (path.starts_with("/worker/") && worker_) co_return co_await worker_(request);
  if (api_ && InstructorFace::owns(path)) co_return co_await api_(request);
  if (auto answer = co_await public_.handle(request)) co_return std::move(*answer);
  co_return co_await participant_.handle_escaped(request);
}

bool Gateway::answers_quickly(net::Request& request, net::Response& response) {
  if (request.method != net::Method::get || !host_accepted(request.host, options_.domain) ||
      !origin_accepted(request))
    return false;
  const std::string_view path = request.path();
  const auto seat = seat_of(request, options_);
  if (path.starts_with(kUserRoot)) return !seat && participant_.answers_quickly(request, response);
  return seat && path != "/health/ping" && participant_.seat_answers_quickly(request, *seat, path, response);
}

awaitable<net::Response> Gateway::handle_seat(net::Request& request, ParticipantId seat) {
  std::string_view path = request.path();
  if (!path.starts_with(kUserRoot)) co_return co_await participant_.handle_seat(request, seat);
  // The long form stays good here, so that links survive; but an address of one seat shows no other.
  if (parse_canonical(take_participant(path), options_.num_users) != seat.value) {
    co_return net::Response::text(404, fmt::format("This is the address of seat {} only.", seat));
  }
  co_return co_await participant_.handle(request);
}

}  // namespace atelier::gateway
