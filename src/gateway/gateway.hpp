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

  [[nodiscard]] awaitable<net::Response> handle(net::Request& request);

 private:
  ParticipantFace& participant_;
  PublicFace& public_;
  GatewayOptions options_;
  std::function<awaitable<net::Response>(net::Request&)> worker_;
};

}  // namespace atelier::gateway
