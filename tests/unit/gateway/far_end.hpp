// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <memory>
#include <string>
#include <utility>

#include "unit/gateway/link_rig.hpp"

namespace atelier::gateway::test {

inline net::HeaderList with_handshake(net::HeaderList headers) {
  for (const auto field : handshake("", "")) {
    if (!field.name.starts_with("Atelier-")) headers.add(field.name, field.value);
  }
  return headers;
}

/// The agent's end of a tunnel, opened with the rig's present bearer.
struct FarEnd {
  FarEnd(LinkRig& rig, Agent& agent, Key128 id) : rig_(rig), wire(std::make_shared<Wire>(rig.runtime)) {
    net::Request request;
    request.target = "/worker/tunnel/" + id.hex();
    request.headers = with_handshake({{"Authorization", fmt::format("Bearer {}", rig.bearer)},
                                      {"Atelier-Link", fmt::format("{}", agent.number())}});
    net::Response response = rig.run(rig.link->handle(request));
    status = response.status;
    if (!response.upgrade) return;
    upgrade = std::move(response.upgrade);
    asio::co_spawn(rig.runtime.executor(), upgrade(std::make_unique<FakeSocket>(wire)), asio::detached);
    rig.runtime.run_ready();
  }
  std::string heard() {
    rig_.runtime.run_ready();
    std::string bytes;
    for (const net::Message& message : std::exchange(wire->to_browser, {})) bytes += message.view();
    return bytes;
  }
  void say(std::string bytes) {
    wire->to_server.push_back(net::Message::binary(std::move(bytes)));
    wire->changed.notify_all();
    rig_.runtime.run_ready();
  }
  void leave() {
    wire->left = true;
    wire->changed.notify_all();
    rig_.runtime.run_ready();
  }
  LinkRig& rig_;
  std::shared_ptr<Wire> wire;
  unsigned status = 0;
  net::Upgrade upgrade;
};

}  // namespace atelier::gateway::test
