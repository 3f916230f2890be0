// SPDX-License-Identifier: MIT
#include "gateway/engine_pages/engine_pages.hpp"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "base/log.hpp"
#include "gateway/access.hpp"
#include "gateway/engine_pages/forward.hpp"
#include "gateway/http_errors.hpp"
#include "net/relay.hpp"

namespace atelier::gateway {
namespace {

constexpr std::string_view kEngineHost = "127.0.0.1";  // of Host; the tunnel ends at the ComfyUI already
constexpr std::size_t kPieceBytes = 64 << 10;
constexpr std::size_t kMessageBytesMax = 32 << 20;
constexpr milliseconds kStall{600'000};  // ComfyUI may be silent while it loads a model
/// For the head of an answer. A page whose browser has left keeps its tunnel so long.
constexpr milliseconds kHeadTime{60'000};
constexpr milliseconds kUploadTime{6 * 3'600'000};
constexpr milliseconds kHandshakeTime{60'000};

constexpr std::string_view kHowToGetIn =
    "This address shows a worker's own ComfyUI to the instructor. The way in is a ticket: POST "
    "/api/v1/tickets "
    "with {\"use\":\"engine\",\"worker\":\"NAME\",\"slot\":0}, then open its url within a minute.\n";

// Not a redirect: a browser that follows one from another site's link would leave out a SameSite=Strict
// cookie, while this page asks for "/" itself.
constexpr std::string_view kGoOn =
    R"(<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">)"
    R"(<title>ComfyUI</title><p><a href="/">Open this worker's ComfyUI</a></p></html>)";

net::ClientLimits client_limits() {
  net::ClientLimits limits;
  limits.stall = kStall;
  return limits;
}

/// What a failure on the way to the ComfyUI is to the browser.
net::Response gateway_error(const Error& error) {
  const bool later = error.code == Errc::queue_full || error.code == Errc::unavailable;
  net::Response response = net::Response::text(later ? 503 : 502, error.what + "\n");
  response.headers.add("Cache-Control", "no-store");
  add_retry_after(response);
  return response;
}

net::Response refuse(unsigned status, std::string sentence) {
  net::Response response = net::Response::text(status, std::move(sentence));
  response.headers.add("Cache-Control", "no-store");
  return response;
}

/// Of a page of our own.
void guard(net::Response& response) {
  response.headers.add("Cache-Control", "no-store");
  response.headers.add("Referrer-Policy", "no-referrer");  // the ticket stays in this address
  response.headers.add("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
}

/// Workers' names and tickets are plain letters (is_worker_name, hex digits).
std::string other_is_open(const EnginePlace& earlier, const EnginePlace& wanted, std::string_view ticket) {
  return fmt::format(
      R"(<!doctype html><html lang="en"><meta charset="utf-8"><title>Another worker is open</title>)"
      "<p>This browser shows slot {} of {}. Pages of two workers at one address would act for each other: "
      R"(close that one's pages, then <a href="/close?ticket={}">open slot {} of {}</a>.</p></html>)",
      earlier.slot, earlier.worker, ticket, wanted.slot, wanted.worker);
}

/// The body of a request or an answer, piece by piece.
template <class Source>
net::PullStream pull_from(Source read) {
  return [read = std::move(read)]() mutable -> awaitable<Result<std::string>> {
    std::string piece(kPieceBytes, '\0');
    ATELIER_CO_TRY(const std::size_t count, co_await read(piece));
    piece.resize(count);
    co_return piece;
  };
}

bool is_any_address(std::string_view host) { return host == "0.0.0.0" || host == "::"; }

}  // namespace

EnginePages::EnginePages(Runtime& runtime, WorkerLink& link, EnginePagesOptions options)
    : runtime_(runtime),
      link_(link),
      options_(std::move(options)),
      sessions_(runtime),
      client_(runtime, client_limits()) {}

std::string EnginePages::configured_url() const {
  return is_any_address(options_.url.host) ? "" : options_.url.scheme + "://" + options_.url.authority();
}

std::string EnginePages::cookie_name(const net::Request& request) const {
  const bool secure = request.secure || options_.url.scheme == "https";
  return secure ? "__Host-atelier-engine" : "atelier-engine";
}

Result<EnginePages::Ticket> EnginePages::make_ticket(EnginePlace place, std::string_view api_host) {
  ATELIER_TRY_VOID(link_.has_slot(place.worker, place.slot));
  net::Url url = options_.url;
  if (is_any_address(url.host)) {
    url.host = without_port(api_host);
    if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  }
  if (net::equal_without_case(url.authority(), api_host)) {
    return fail(Errc::conflict,
                "ENGINE_PAGES_URL is the participants' own address: give it another host name or port.");
  }
  ATELIER_TRY(std::string ticket, sessions_.make_ticket(std::move(place)));
  Ticket made;
  made.path = "/open?ticket=" + ticket;
  made.url = url.scheme + "://" + url.authority() + made.path;
  made.ticket = std::move(ticket);
  return made;
}

awaitable<net::Response> EnginePages::handle(net::Request& request) {
  if (request.path() == "/open" || request.path() == "/close") co_return open(request);
  const auto secret = net::cookie(request.headers.get("Cookie"), cookie_name(request));
  const auto session = secret ? sessions_.find(*secret) : std::nullopt;
  if (!session) co_return refuse(403, std::string(kHowToGetIn));
  if (!own_page_asks(request, configured_url()))
    co_return refuse(403, "Only this address's own pages may ask for this.\n");
  if (request.method == net::Method::other) co_return refuse(501, "This method is not passed on.\n");
  auto tunnel = co_await link_.open_tunnel(session->place.worker, session->place.slot);
  if (!tunnel) co_return gateway_error(tunnel.error());
  if (request.wants_websocket())
    co_return co_await forward_socket(request, std::move(*tunnel), session->until);
  co_return co_await forward(request, std::move(*tunnel));
}

net::Response EnginePages::open(const net::Request& request) {
  if (request.method != net::Method::get || request.is_head) {
    net::Response response = refuse(405, "GET.\n");
    response.headers.add("Allow", "GET");
    return response;
  }
  const std::string ticket(request.parameter("ticket").value_or(""));
  const auto place = sessions_.place_of(ticket);
  if (!place) return refuse(403, "This ticket was used, or is older than a minute: make another one.\n");
  const auto secret = net::cookie(request.headers.get("Cookie"), cookie_name(request));
  const auto earlier = secret ? sessions_.find(*secret) : std::nullopt;
  const bool ends_earlier = request.path() == "/close";
  if (ends_earlier && !own_page_asks(request, configured_url()))
    return refuse(403, "Only this address's own pages may ask for this.\n");
  if (earlier && !earlier->place.same_slot(*place) && !ends_earlier) {
    net::Response response = net::Response::html(409, other_is_open(earlier->place, *place, ticket));
    guard(response);
    return response;
  }
  if (secret) sessions_.close(*secret);
  const auto opened = sessions_.open(ticket);
  if (!opened) return refuse(403, "This ticket was used meanwhile: make another one.\n");
  log::info("engine_page_opened",
            {{"worker", opened->place.worker}, {"slot", opened->place.slot}, {"by", opened->place.by}});
  const std::string name = cookie_name(request);
  net::Response response = net::Response::html(200, std::string(kGoOn));
  response.headers.add("Set-Cookie",
                       fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict{}", name, opened->secret,
                                   name.starts_with("__Host-") ? "; Secure" : ""));
  // What another worker's page left in this browser would speak for that worker here.
  response.headers.add("Clear-Site-Data", R"("cache", "storage")");
  guard(response);
  return response;
}

awaitable<net::Response> EnginePages::forward(net::Request& request,
                                              std::unique_ptr<net::ByteStream> tunnel) {
  net::Url url;
  url.scheme = "http";
  url.host = kEngineHost;
  url.port = 80;
  url.target = request.target;
  const bool has_body = request.content_length != 0;
  net::ClientRequest asked(request.is_head ? net::Method::head : request.method, std::move(url));
  asked.headers = headers_to_engine(request);
  if (has_body) {
    auto read = [&request](std::span<char> into) { return request.read(into); };
    asked.body = net::StreamBody(pull_from(std::move(read)), request.content_length);
  }
  const Instant deadline = runtime_.now() + (has_body ? kUploadTime : kHeadTime);
  auto answer = co_await client_.request_over(std::move(tunnel), std::move(asked), deadline);
  if (!answer) {
    const Error error(Errc::closed, "The worker's ComfyUI did not answer: " + answer.error().what);
    co_return gateway_error(error);
  }
  net::Response response(answer->status);
  response.headers = headers_from_engine(answer->headers);
  response.headers.set("X-Frame-Options", "SAMEORIGIN");
  if (request.is_head) co_return response;
  const auto length = answer->content_length;
  auto shared = std::make_shared<net::ClientResponse>(std::move(*answer));
  auto read = [shared](std::span<char> into) { return shared->read(into, net::kNoDeadline); };
  response.body = net::StreamBody(pull_from(std::move(read)), length);
  co_return response;
}

awaitable<net::Response> EnginePages::forward_socket(const net::Request& request,
                                                     std::unique_ptr<net::ByteStream> tunnel, Instant until) {
  net::WebSocketLimits limits;
  limits.message_bytes_max = kMessageBytesMax;
  limits.write_stall = kStall;
  limits.missed_pings_max = 15;  // as long as ComfyUI may be silent while it loads a model
  std::string url = fmt::format("ws://{}{}", kEngineHost, request.target);
  auto engine = co_await net::connect_websocket_over(runtime_, std::move(tunnel), std::move(url),
                                                     headers_to_engine(request), limits,
                                                     runtime_.now() + kHandshakeTime);
  if (!engine) {
    const Error error(Errc::closed, "The worker's ComfyUI took no WebSocket: " + engine.error().what);
    co_return gateway_error(error);
  }
  net::WebSocketLimits to_browser;
  to_browser.message_bytes_max = kMessageBytesMax;
  auto run = [this, until, socket = std::move(*engine)](std::unique_ptr<net::WebSocket> browser) mutable {
    return net::relay(runtime_, std::move(browser), std::move(socket), until);
  };
  co_return net::Response::websocket(std::move(run), to_browser);
}

}  // namespace atelier::gateway
