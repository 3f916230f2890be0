// SPDX-License-Identifier: MIT
#pragma once
// Where every request comes in: checks the Host header, then hands it to the face that its path belongs to.
// This is what the app gives to net::HttpServer.

#include <functional>
#include <string>

#include "gateway/participant/participant_face.hpp"
#include "gateway/public/public_face.hpp"

namespace atelier::gateway {

struct GatewayOptions {
  std::string domain;  // DOMAIN; "" = none: IP literals and localhost only
  std::uint64_t num_users = 20;
};

class Gateway {
 public:
  /// The faces outlive it.
  Gateway(ParticipantFace& participant, PublicFace& everybody, GatewayOptions options)
      : participant_(participant), public_(everybody), options_(std::move(options)) {}

  /// Everything under /worker/; 404 until set.
  void set_worker_handler(std::function<awaitable<net::Response>(net::Request&)> handler) {
    worker_ = std::move(handler);
  }
  /// What InstructorFace::owns, but at an address of a seat; 404 until set.
  void set_api_handler(std::function<awaitable<net::Response>(net::Request&)> handler) {
    api_ = std::move(handler);
  }

  /// A request that came through a listener marked with a participant's number (SEAT_PORTS), or to a host
  /// name of its own (7.DOMAIN), is that participant's whatever its path.
  [[nodiscard]] awaitable<net::Response> handle(net::Request& request);
  /// A GET of a participant that needs no waiting (net::QuickHandler); what is refused is left to handle().
  [[nodiscard]] bool answers_quickly(net::Request& request, net::Response& response);

 private:
  awaitable<net::Response> handle_seat(net::Request& request, ParticipantId seat);

  ParticipantFace& participant_;
  PublicFace& public_;
  GatewayOptions options_;
  std::function<awaitable<net::Response>(net::Request&)> worker_, api_;
};

}  // namespace atelier::gateway
