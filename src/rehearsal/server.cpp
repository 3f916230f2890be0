// SPDX-License-Identifier: MIT
#include "rehearsal/server.hpp"

#include <array>
#include <boost/json.hpp>

#include "base/log.hpp"
#include "comfy/messages.hpp"
#include "rehearsal/server_impl.hpp"

namespace atelier::rehearsal {
namespace json = boost::json;
namespace {

constexpr std::size_t kInboundBytesMax = 4 << 20;  // as ComfyUI's server reads

struct Connection {
  Connection(Runtime& runtime, std::unique_ptr<net::WebSocket> stream, net::OutgoingLimits limits)
      : socket(std::move(stream)), outgoing(runtime, *socket, limits) {}
  std::unique_ptr<net::WebSocket> socket;
  net::OutgoingQueue outgoing;
};

awaitable<void> write_all(std::shared_ptr<Connection> connection) { co_await connection->outgoing.run(); }

// Decoded segments of a raw path; nullopt for a broken escape or a NUL.
std::optional<std::vector<std::string>> split_path(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(path.starts_with('/') ? 1 : 0);
    const auto end = std::min(path.find('/'), path.size());
    auto segment = net::percent_decode(path.substr(0, end));
    if (!segment || segment->find('\0') != std::string::npos) return std::nullopt;
    segments.push_back(std::move(*segment));
    path.remove_prefix(end);
  }
  return segments;
}

// The arguments of a matching route; nullopt if it does not match.
std::optional<std::vector<std::string>> match(std::string_view pattern,
                                              std::span<const std::string> segments) {
  std::vector<std::string> arguments;
  for (const std::string& segment : segments) {
    if (!pattern.starts_with('/')) return std::nullopt;
    pattern.remove_prefix(1);
    const auto want = pattern.substr(0, pattern.find('/'));
    if (want == "*") {
      arguments.push_back(segment);
    } else if (want != segment) {
      return std::nullopt;
    }
    pattern.remove_prefix(want.size());
  }
  return pattern.empty() ? std::optional(std::move(arguments)) : std::nullopt;
}

bool is_loopback(std::string_view host) {
  if (host.starts_with('[')) return host.starts_with("[::1]");
  const auto name = host.substr(0, host.find(':'));
  return name == "localhost" || name.starts_with("127.");
}

// ComfyUI refuses pages of other sites: Sec-Fetch-Site, and a foreign Origin when asked over loopback
// (server.py 147).
bool comes_from_elsewhere(const net::Request& request) {
  if (request.headers.get("Sec-Fetch-Site") == "cross-site") return true;
  const auto origin = request.headers.get("Origin");
  if (origin.empty() || !is_loopback(request.host)) return false;
  const auto url = net::parse_url(origin);
  return !url || url->authority() != request.host;
}

}  // namespace

ServerState::ServerState(Runtime& r, ServerOptions o)
    : runtime(r),
      options(std::move(o)),
      engine(r, options.engine, clients),
      tasks(r),
      http(r, net::ServerLimits{}, [this](net::Request& request) { return handle(request); }) {}

awaitable<net::Response> ServerState::handle(net::Request& request) {
  if (comes_from_elsewhere(request)) co_return net::Response(403);
  if (request.method == net::Method::options) co_return net::Response(200);
  auto segments = split_path(request.path());
  if (!segments) co_return net::Response(400);
  const bool under_api = !segments->empty() && segments->front() == "api";
  const std::span<const std::string> rest =
      std::span<const std::string>(*segments).subspan(under_api ? 1 : 0);
  if (request.method == net::Method::get && rest.size() == 1 && rest[0] == "ws")
    co_return open_socket(request);
  bool known = false;
  const std::array<std::span<const Route>, 3> tables{run_routes(), file_routes(), fact_routes()};
  for (const auto table : tables) {
    for (const Route& route : table) {
      const bool here =
          route.where == Route::Where::both || (route.where == Route::Where::only_under_api) == under_api;
      auto arguments = here ? match(route.path, rest) : std::nullopt;
      if (!arguments) continue;
      known = true;
      if (route.method != request.method) continue;
      Call call{request, std::move(*arguments)};
      co_return co_await route.run(*this, call);
    }
  }
  co_return known ? net::Response::text(405, "405: Method Not Allowed")
                  : net::Response::text(404, "404: Not Found");
}

net::Response ServerState::open_socket(const net::Request& request) {
  if (!request.wants_websocket()) return net::Response::text(400, "this is a WebSocket");
  std::string sid = request.parameter("clientId").value_or("");
  if (sid.empty()) sid = runtime.random_key().hex();
  net::WebSocketLimits limits;
  limits.message_bytes_max = kInboundBytesMax;
  return net::Response::websocket(
      [this, sid](std::unique_ptr<net::WebSocket> socket) { return serve_socket(sid, std::move(socket)); },
      limits);
}

awaitable<void> ServerState::serve_socket(std::string sid, std::unique_ptr<net::WebSocket> socket) {
  net::OutgoingLimits limits;
  limits.bytes_max = 64u << 20;
  auto connection = std::make_shared<Connection>(runtime, std::move(socket), limits);
  clients.add(sid, connection->outgoing);
  tasks.spawn("write to a socket", write_all(connection));
  connection->outgoing.push(net::Message::text(comfy::status_message(engine.queue().remaining(), sid)));
  if (const auto node = engine.current_node(sid)) {
    connection->outgoing.push(net::Message::text(comfy::executing_on_connect_message(*node)));
  }
  bool first = true;
  while (true) {
    const auto message = co_await connection->socket->read(net::kNoDeadline);
    if (!message) break;
    if (message->kind != net::MessageKind::text) continue;
    // Only the first message may announce features, only then an answer is due (server.py, websocket
    // handler).
    const auto parsed = comfy::Json::parse(message->view());
    const auto* type = parsed && parsed->is_object() ? parsed->object().if_contains("type") : nullptr;
    if (first && type != nullptr && type->is_string() && type->as_string() == "feature_flags") {
      connection->outgoing.push(net::Message::text(comfy::feature_flags_message(feature_flags())));
    }
    if (parsed) first = false;
  }
  clients.remove(sid, connection->outgoing);
  connection->outgoing.close(net::CloseCode::normal, "");
}

awaitable<std::expected<comfy::Json, net::Response>> read_json(net::Request& request) {
  auto body = co_await request.read_all(8u << 20);
  if (!body) {
    const bool large = body.error().code == Errc::too_large;
    co_return std::unexpected(net::Response::text(large ? 413 : 400, body.error().what + "\n"));
  }
  auto parsed = comfy::Json::parse(*body);
  if (!parsed)
    co_return std::unexpected(net::Response::text(400, "the body is no JSON: " + parsed.error().what + "\n"));
  co_return std::move(*parsed);
}

std::string feature_flags() {
  const json::object flags{{"supports_preview_metadata", true},
                           {"max_upload_size", kUploadBytesMax},
                           {"extension", {{"manager", {{"supports_v4", true}}}}},
                           {"node_replacements", true},
                           {"assets", false}};
  return json::serialize(flags);
}

Server::Server(Runtime& runtime, ServerOptions options)
    : state_(std::make_shared<ServerState>(runtime, std::move(options))) {}
Server::~Server() = default;

Result<std::uint16_t> Server::start(const std::string& address, std::uint16_t port) {
  ATELIER_TRY(const std::uint16_t taken, state_->http.listen(address, port));
  state_->tasks.spawn("engine", state_->engine.run());
  return taken;
}

awaitable<void> Server::stop(Instant deadline) {
  const auto state = state_;
  state->engine.stop();
  state->clients.close_all();
  static_cast<void>(co_await state->http.stop(deadline));
  static_cast<void>(co_await state->tasks.stop(deadline));
}

}  // namespace atelier::rehearsal
