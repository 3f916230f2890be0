// SPDX-License-Identifier: MIT
#include "unit/gateway/fake_socket.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>

namespace atelier::gateway::test {

Tab::Tab(Rig& rig, int participant, const std::string& client_id, bool takes_metadata)
    : rig_(rig), wire_(std::make_shared<Wire>(rig.runtime)) {
  net::Request request;
  request.target = fmt::format("/user/{}/ws?clientId={}", participant, client_id);
  request.host = "localhost:8188";
  request.headers = {{"Connection", "Upgrade"},
                     {"Upgrade", "websocket"},
                     {"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                     {"Origin", "http://localhost:8188"}};
  net::Response response = rig.run(rig.gateway->handle(request));
  REQUIRE(response.upgrade);
  upgrade_ = std::move(response.upgrade);
  asio::co_spawn(rig.runtime.executor(), upgrade_(std::make_unique<FakeSocket>(wire_)), asio::detached);
  rig.runtime.run_ready();
  if (takes_metadata) say(R"({"type":"feature_flags","data":{"supports_preview_metadata":true}})");
}

void Tab::say(std::string text, net::MessageKind kind) {
  wire_->to_server.push_back({kind, std::make_shared<const std::string>(std::move(text))});
  wire_->changed.notify_all();
  rig_.runtime.run_ready();
}

void Tab::leave() {
  wire_->left = true;
  wire_->changed.notify_all();
  rig_.runtime.run_ready();
}

void Tab::stall(bool stalled) {
  wire_->stalled = stalled;
  wire_->changed.notify_all();
  rig_.runtime.run_ready();
}

std::vector<std::string> Tab::take() {
  rig_.runtime.run_ready();
  std::vector<std::string> texts;
  for (const net::Message& message : std::exchange(wire_->to_browser, {})) {
    texts.push_back(message.kind == net::MessageKind::text
                        ? std::string(message.view())
                        : fmt::format("<{} bytes>", message.view().size()));
  }
  return texts;
}

std::vector<std::string> Tab::take_types() {
  std::vector<std::string> types;
  for (const std::string& message : take()) {
    if (message.starts_with('<')) {
      types.push_back(message);
      continue;
    }
    const auto parsed = comfy::Json::parse(message).value().value();
    std::string type = text(parsed.at("type"));
    const auto& data = parsed.at("data").as_object();
    if (const auto* node = data.if_contains("node")) type += " " + text(*node);
    types.push_back(std::move(type));
  }
  return types;
}

std::vector<std::string> Tab::take_frames() {
  rig_.runtime.run_ready();
  std::vector<std::string> frames;
  for (const net::Message& message : std::exchange(wire_->to_browser, {})) {
    if (message.kind == net::MessageKind::binary) frames.emplace_back(message.view());
  }
  return frames;
}

}  // namespace atelier::gateway::test
