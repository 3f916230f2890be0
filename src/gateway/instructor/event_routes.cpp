// SPDX-License-Identifier: MIT
// /api/v1/events, and the tickets for it and for workers' own pages.
#include <fmt/format.h>

#include <boost/json.hpp>

#include "comfy/json.hpp"
#include "gateway/access.hpp"
#include "gateway/engine_pages/engine_pages.hpp"
#include "gateway/instructor/instructor_impl.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kTicketLife{60'000}, kTimeToSayWho{10'000};
constexpr std::size_t kTicketsMax = 1'024, kStrangersMax = 32;
constexpr std::size_t kMessageBytesMax = 4'096;

}  // namespace

awaitable<net::Response> InstructorFace::Impl::post_ticket(ApiCall& call) {
  const auto use = call.fields.choice("use", {TicketUse::events, TicketUse::engine});
  call.fields.require("use");
  if (use == TicketUse::engine) co_return post_engine_ticket(call);
  if (const auto wrong = call.fields.wrong()) co_return problem_response(*wrong);
  const Instant now = runtime.now();
  std::erase_if(tickets, [&](const auto& entry) { return entry.second.until <= now; });
  if (tickets.size() >= kTicketsMax) {
    const Problem many(429, "Too many tickets were made and not used; try again in a minute.");
    co_return problem_response(many);
  }
  std::string ticket = runtime.random_key().hex();
  net::Response response = api_json(201, fmt::format(R"({{"ticket":"{0}","use":"events","expires_in_ms":{1},)"
                                                     R"("path":"{2}/events?ticket={0}"}})",
                                                     ticket, kTicketLife.count(), kApiRoot));
  tickets.emplace(std::move(ticket), Ticket{call.caller, now + kTicketLife});
  co_return response;
}

net::Response InstructorFace::Impl::post_engine_ticket(ApiCall& call) {
  const auto worker = call.fields.text("worker", 64);
  const auto slot = call.fields.number("slot", 0, link::kSlotsMax - 1);
  call.fields.require("worker");
  call.fields.require("slot");
  if (const auto wrong = call.fields.wrong()) return problem_response(*wrong);
  if (!call.caller.is_instructor())
    return problem_response(Problem(403, "A worker's own ComfyUI is opened by the instructor only."));
  if (engine_pages == nullptr) {
    return problem_response(
        Problem(409,
                "Workers' own pages are off: set ENGINE_PAGES_LISTEN to an address and a port of their "
                "own, such as 127.0.0.1:8190, and start the server again."));
  }
  if (workshop.core().worker(*worker) == nullptr)
    return problem_response(
        Problem(404, fmt::format("No worker with the name {} has ever joined.", *worker)));
  EnginePlace place{*worker, static_cast<std::uint32_t>(*slot), call.caller.name()};
  const auto made = engine_pages->make_ticket(std::move(place), call.request.host);
  if (!made) {
    const Errc code = made.error().code;
    const unsigned status = code == Errc::not_found ? 404 : code == Errc::queue_full ? 429 : 409;
    return problem_response(Problem(status, made.error().what));
  }
  return api_json(
      201,
      fmt::format(R"({{"ticket":"{}","use":"engine","expires_in_ms":{},"path":"{}","url":{}}})", made->ticket,
                  EngineSessions::kTicketLife.count(), made->path, comfy::quote_json(made->url)));
}

std::optional<Caller> InstructorFace::Impl::take_ticket(const std::string& text) {
  const auto found = tickets.find(text);
  if (found == tickets.end()) return std::nullopt;
  const Ticket ticket = found->second;
  tickets.erase(found);
  return ticket.until > runtime.now() ? std::optional(ticket.caller) : std::nullopt;
}

awaitable<net::Response> InstructorFace::Impl::get_events(ApiCall& call) {
  if (!call.request.wants_websocket()) {
    const Problem socket(400, "This address is for WebSockets.");
    co_return problem_response(socket);
  }
  std::optional<std::uint64_t> since;
  if (const auto given = call.request.parameter("since")) {
    since = *given == "0" ? 0 : parse_canonical(*given, INT64_MAX);
    if (!since) {
      const Problem number(400, "since must be the sequence of a message of this socket.");
      co_return problem_response(number);
    }
  }
  std::optional<Caller> caller;
  if (const auto ticket = call.request.parameter("ticket")) {
    caller = take_ticket(*ticket);
    if (!caller) {
      const Problem used(401, "This ticket was used, or is older than a minute: make another one.");
      co_return problem_response(used);
    }
  } else if (auto known = access.caller_of(call.request)) {
    caller = *known;
  } else if (call.request.headers.contains("Authorization")) {
    const Problem problem = problem_of(known.error());
    co_return problem_response(problem);
  }
  net::WebSocketLimits limits;
  limits.message_bytes_max = kMessageBytesMax;
  auto run = [this, caller, since](std::unique_ptr<net::WebSocket> socket) {
    return serve_events(std::move(socket), caller, since);
  };
  co_return net::Response::websocket(std::move(run), limits);
}

awaitable<void> InstructorFace::Impl::serve_events(std::unique_ptr<net::WebSocket> socket,
                                                   std::optional<Caller> caller,
                                                   std::optional<std::uint64_t> since) {
  if (!caller) {
    if (strangers >= kStrangersMax) {
      co_await socket->close(net::CloseCode::try_again_later, "too many sockets have not said who they are");
      co_return;
    }
    struct Count {
      explicit Count(std::size_t& n) : count(n) { ++count; }
      ~Count() { --count; }
      Count(const Count&) = delete;
      Count& operator=(const Count&) = delete;
      std::size_t& count;
    };
    const Count stranger(strangers);
    const auto message = co_await socket->read(runtime.now() + kTimeToSayWho);
    const auto said =
        message ? comfy::Json::parse(message->view(), {.bytes_max = kMessageBytesMax, .depth_max = 4})
                : comfy::Json::parse("null");
    const auto* token = said ? std::as_const(*said).object().if_contains("token") : nullptr;
    if (token != nullptr && token->is_string())
      caller = access.caller_of_token(std::string_view(token->get_string()));
  }
  if (!caller) {
    co_await socket->close(net::CloseCode::policy, R"(say {"token":"..."} first, within 10 s)");
    co_return;
  }
  co_await events.run(std::move(socket), *caller, since);
}

}  // namespace atelier::gateway
