// SPDX-License-Identifier: MIT
// The one file with Beast's WebSocket.
#include "net/websocket.hpp"

#include <fmt/format.h>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "net/beast_stream.hpp"
#include "net/tls.hpp"
#include "net/websocket_internal.hpp"

namespace atelier::net {
namespace {

namespace beast = boost::beast;
namespace ws = boost::beast::websocket;
using beast::error_code;

constexpr milliseconds kCloseTime{3'000};
constexpr milliseconds kTick{1'000};
constexpr std::size_t kClientBufferBytes = 16 << 10;  // a client masks its frames in pieces of this size
constexpr std::size_t kCloseReasonBytesMax = 123;
constexpr std::size_t kQuotedBytesMax = 300;

beast::string_view to_beast(std::string_view text) { return {text.data(), text.size()}; }

/// One asynchronous step that a coroutine waits for with a deadline. Shared, because either side may go
/// first.
struct Step {
  explicit Step(std::shared_ptr<DeadlineSweep> sweep) : waiter(std::move(sweep)) {}
  void finish(error_code code) {
    error = code;
    waiter.complete();
  }
  Waiter waiter;
  error_code error;
};

struct Outgoing {
  Outgoing(Message m, std::shared_ptr<DeadlineSweep> sweep) : message(std::move(m)), step(std::move(sweep)) {}
  Message message;
  Step step;
};

/// Everything behind a WebSocket. The operations under way hold it, so that it may outlive the object of the
/// caller.
class BeastSocket : public std::enable_shared_from_this<BeastSocket> {
 public:
  BeastSocket(std::unique_ptr<ByteStream> bytes, std::shared_ptr<DeadlineSweep> s, WebSocketLimits l,
              std::string first)
      : limits(l),
        sweep(std::move(s)),
        state(std::make_shared<BeastStreamState>(std::move(bytes), sweep->runtime(), std::move(first))),
        stream(BeastStream(state)),
        tick(sweep, [this] { on_tick(); }) {
    stream.auto_fragment(false);
    stream.read_message_max(limits.message_bytes_max);
  }

  awaitable<Result<void>> accept(const Request& request, const HeaderList& headers);
  awaitable<Result<void>> dial(std::string host, std::string target, const HeaderList& headers,
                               Instant deadline);
  awaitable<Result<Message>> read(Instant deadline);
  awaitable<Result<void>> write(Message message, Instant deadline);
  awaitable<void> close(CloseCode code, std::string reason);
  void drop(Errc code, std::string why);

  std::function<void()> on_end;
  bool ended = false;
  CloseCode close_code = CloseCode::none;
  std::string close_reason;

 private:
  void opened();
  void start_read();
  void on_read(error_code error);
  void refuse_text();
  void pump();
  void on_write(error_code error);
  void on_tick();
  void end_with(error_code error);
  void end(Error error);

  using StringBuffer = asio::dynamic_string_buffer<char, std::char_traits<char>, std::allocator<char>>;
  WebSocketLimits limits;
  std::shared_ptr<DeadlineSweep> sweep;
  std::shared_ptr<BeastStreamState> state;
  ws::stream<BeastStream, false> stream;
  DeadlineSweep::Entry tick;
  std::optional<Error> end_error;

  bool reading = false;
  std::string incoming;
  std::optional<StringBuffer> buffer;
  std::optional<Message> ready;
  Waiter* reader = nullptr;

  std::vector<std::shared_ptr<Outgoing>> outgoing;  // few; a deque would take 600 bytes of every idle socket
  std::shared_ptr<Step> drained;
  bool writing = false;
  bool closing = false;
  Instant write_started{};

  bool pinging = false;
  int missed_pings = 0;
  Instant last_ping{};
};

void BeastSocket::opened() {
  last_ping = sweep->now();
  tick.set(last_ping + kTick);
}

awaitable<Result<void>> BeastSocket::accept(const Request& request, const HeaderList& headers) {
  beast::http::request<beast::http::empty_body> handshake(beast::http::verb::get, to_beast(request.target),
                                                          11);
  for (const auto field : request.headers) handshake.insert(to_beast(field.name), to_beast(field.value));
  stream.set_option(ws::stream_base::decorator([&headers](ws::response_type& response) {
    for (const auto field : headers) response.insert(to_beast(field.name), to_beast(field.value));
    if (response.count(beast::http::field::server) == 0) response.set(beast::http::field::server, "atelier");
  }));
  auto step = std::make_shared<Step>(sweep);
  stream.async_accept(handshake,
                      [self = shared_from_this(), step](error_code error) { step->finish(error); });
  stream.set_option(ws::stream_base::decorator([](ws::response_type&) {}));  // the answer has been built
  const auto got = co_await step->waiter.wait(sweep->now() + limits.write_stall);
  if (got != Waiter::End::done || step->error) {
    drop(Errc::closed, "the handshake failed");
    co_return fail(Errc::closed, "the WebSocket handshake failed");
  }
  opened();
  co_return Result<void>{};
}

Errc errc_of_status(unsigned status) {
  switch (status) {
    case 401:
      return Errc::unauthorized;
    case 403:
      return Errc::forbidden;
    case 404:
      return Errc::not_found;
    case 429:
      return Errc::unavailable;
    default:
      return status >= 500 ? Errc::unavailable : Errc::protocol;
  }
}

awaitable<Result<void>> BeastSocket::dial(std::string host, std::string target, const HeaderList& headers,
                                          Instant deadline) {
  stream.write_buffer_bytes(kClientBufferBytes);
  stream.set_option(ws::stream_base::decorator([&headers](ws::request_type& request) {
    for (const auto field : headers) request.insert(to_beast(field.name), to_beast(field.value));
    if (request.count(beast::http::field::user_agent) == 0)
      request.set(beast::http::field::user_agent, "atelier");
  }));
  auto step = std::make_shared<Step>(sweep);
  auto response = std::make_shared<ws::response_type>();
  stream.async_handshake(
      *response, to_beast(host), to_beast(target),
      [self = shared_from_this(), step, response](error_code error) { step->finish(error); });
  stream.set_option(ws::stream_base::decorator([](ws::request_type&) {}));  // the request has been built
  const auto got = co_await step->waiter.wait(deadline);
  if (got == Waiter::End::done && !step->error) {
    opened();
    co_return Result<void>{};
  }
  drop(Errc::closed, "the handshake failed");
  if (got == Waiter::End::timeout)
    co_return fail(Errc::timeout, fmt::format("{}: no answer to the WebSocket handshake", host));
  if (got == Waiter::End::cancelled) co_return fail(Errc::cancelled, "the handshake was cancelled");
  if (step->error == ws::error::upgrade_declined) {
    const auto status = response->result_int();
    std::string said = response->body().substr(0, kQuotedBytesMax);
    said.erase(said.find_last_not_of(" \r\n") + 1);
    co_return fail(errc_of_status(status), fmt::format("{}{} answered {}: {}", host, target, status, said));
  }
  const Errc code =
      step->error.category() == boost::system::system_category() || step->error == asio::error::eof
          ? Errc::unavailable
          : Errc::protocol;
  co_return fail(code, fmt::format("{}: the WebSocket handshake failed: {}", host, step->error.message()));
}

awaitable<Result<Message>> BeastSocket::read(Instant deadline) {
  const auto self = shared_from_this();
  Waiter::End got = Waiter::End::done;
  if (!ready && !ended) {
    if (!reading) start_read();
    Waiter waiter(sweep);
    reader = &waiter;
    struct Leave {
      Waiter*& place;
      ~Leave() { place = nullptr; }
    } const leave{reader};
    got = co_await waiter.wait(deadline);
  }
  if (ready) {
    Message message = std::move(*ready);
    ready.reset();
    co_return message;
  }
  if (ended) co_return std::unexpected(*end_error);
  if (got == Waiter::End::timeout) co_return fail(Errc::timeout, "no message in time");
  co_return fail(Errc::cancelled, "the read was cancelled");
}

void BeastSocket::start_read() {
  reading = true;
  missed_pings = 0;
  incoming.clear();
  buffer.emplace(incoming);
  stream.async_read(*buffer,
                    [self = shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
}

/// True if the last character of `text` has begun but not ended; all before it is UTF-8.
bool ends_inside_character(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    const std::size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back;
  }
  return false;
}

void BeastSocket::on_read(error_code error) {
  reading = false;
  if (error) return end_with(error);
  incoming.resize(buffer->size());
  buffer.reset();
  if (stream.got_text() && ends_inside_character(incoming)) return refuse_text();
  ready.emplace(stream.got_text() ? MessageKind::text : MessageKind::binary,
                std::make_shared<const std::string>(std::move(incoming)));
  incoming = std::string();
  if (reader != nullptr) reader->complete();
}

/// Beast 1.81 checks all of a text but its end when the last frame of the message is empty.
void BeastSocket::refuse_text() {
  if (ended || std::exchange(closing, true)) return;
  state->ending_since = sweep->now();  // the peer has as long to answer as after a close of ours
  stream.async_close(ws::close_reason(ws::close_code::bad_payload), [self = shared_from_this()](error_code) {
    self->drop(Errc::protocol, "the peer broke the WebSocket protocol: a text that is not UTF-8");
  });
}

awaitable<Result<void>> BeastSocket::write(Message message, Instant deadline) {
  const auto self = shared_from_this();
  if (ended) co_return std::unexpected(*end_error);
  if (closing) co_return fail(Errc::closed, "the WebSocket is being closed");
  auto entry = std::make_shared<Outgoing>(std::move(message), sweep);
  outgoing.push_back(entry);
  pump();
  const auto got = co_await entry->step.waiter.wait(deadline);
  if (got == Waiter::End::timeout) {
    drop(Errc::timeout, "the peer takes nothing");
    co_return fail(Errc::timeout, "the message could not be written in time");
  }
  if (got == Waiter::End::cancelled) co_return fail(Errc::cancelled, "the write was cancelled");
  if (entry->step.error)
    co_return std::unexpected(end_error.value_or(Error{Errc::closed, "the WebSocket has ended"}));
  co_return Result<void>{};
}

void BeastSocket::pump() {
  if (writing || ended || outgoing.empty()) return;
  writing = true;
  write_started = sweep->now();
  const auto& front = outgoing.front();
  stream.binary(front->message.kind == MessageKind::binary);
  const std::string_view bytes = front->message.view();
  stream.async_write(
      asio::const_buffer(bytes.data(), bytes.size()),
      [self = shared_from_this(), front](error_code error, std::size_t) { self->on_write(error); });
}

void BeastSocket::on_write(error_code error) {
  writing = false;
  if (ended) return;
  if (error) return end_with(error);
  auto front = std::move(outgoing.front());
  outgoing.erase(outgoing.begin());
  front->step.finish({});
  pump();
  if (outgoing.empty() && drained) drained->finish({});
}

void BeastSocket::on_tick() {
  const auto self = shared_from_this();
  const Instant now = sweep->now();
  tick.set(now + kTick);
  if (writing && now - std::max(write_started, state->last_sent) > limits.write_stall) {
    return drop(Errc::timeout, "the peer takes nothing");
  }
  if (state->ending_since && now - *state->ending_since > kCloseTime) return state->stream->close();
  if (closing || state->ending_since || now - last_ping < limits.ping_interval) return;
  if (state->last_heard >= last_ping || !reading) missed_pings = 0;  // who does not read cannot hear
  if (missed_pings >= limits.missed_pings_max) return drop(Errc::timeout, "the peer does not answer pings");
  ++missed_pings;
  last_ping = now;
  if (std::exchange(pinging, true)) return;
  stream.async_ping({}, [self](error_code error) {
    self->pinging = false;
    if (error) self->end_with(error);
  });
}

std::string cut_reason(std::string reason) {
  if (reason.size() <= kCloseReasonBytesMax) return reason;
  std::size_t size = kCloseReasonBytesMax;
  while (size > 0 && (static_cast<unsigned char>(reason[size]) & 0xc0) == 0x80)
    --size;  // not inside a character
  reason.resize(size);
  return reason;
}

awaitable<void> BeastSocket::close(CloseCode code, std::string reason) {
  const auto self = shared_from_this();
  if (ended || std::exchange(closing, true)) co_return;
  const Instant deadline = sweep->now() + kCloseTime;
  if (!outgoing.empty()) {
    drained = std::make_shared<Step>(sweep);
    co_await drained->waiter.wait(deadline);
    drained.reset();
  }
  if (!ended) {
    auto step = std::make_shared<Step>(sweep);
    const std::string text = cut_reason(std::move(reason));
    stream.async_close(ws::close_reason(static_cast<ws::close_code>(code), to_beast(text)),
                       [self, step](error_code error) {
                         step->finish(error);
                         self->end_with(error ? error : error_code(ws::error::closed));
                       });
    co_await step->waiter.wait(deadline);
  }
  drop(Errc::closed, "the WebSocket was closed here");
}

void BeastSocket::drop(Errc code, std::string why) {
  end(Error{code, std::move(why)});
  state->stream->close();
}

void BeastSocket::end_with(error_code error) {
  if (ended) return;
  if (error == ws::error::closed) {
    const auto code = static_cast<std::uint16_t>(stream.reason().code);
    close_code = code == 0 || code == 1005 ? CloseCode::normal : static_cast<CloseCode>(code);
    close_reason.assign(stream.reason().reason.data(), stream.reason().reason.size());
    return drop(Errc::closed,
                fmt::format("the peer closed the WebSocket ({})", static_cast<unsigned>(close_code)));
  }
  if (error == ws::error::message_too_big || error == ws::error::buffer_overflow) {
    return drop(Errc::too_large,
                fmt::format("a message of more than {} bytes came", limits.message_bytes_max));
  }
  if (error == ws::condition::protocol_violation) {
    return drop(Errc::protocol, "the peer broke the WebSocket protocol: " + error.message());
  }
  drop(Errc::closed, "the connection ended: " + error.message());
}

void BeastSocket::end(Error error) {
  if (std::exchange(ended, true)) return;
  tick.clear();
  end_error = std::move(error);
  if (close_code == CloseCode::none) close_code = CloseCode::abnormal;
  for (const auto& entry : std::exchange(outgoing, {})) entry->step.finish(asio::error::connection_aborted);
  if (drained) drained->finish({});
  if (reader != nullptr) reader->complete();
  if (on_end) on_end();
}

class BeastWebSocket final : public WebSocket {
 public:
  explicit BeastWebSocket(std::shared_ptr<BeastSocket> socket) : socket_(std::move(socket)) {
    socket_->on_end = [this] { report_end(); };
  }
  ~BeastWebSocket() override {
    socket_->on_end = nullptr;
    socket_->drop(Errc::closed, "the WebSocket was dropped");
  }
  awaitable<Result<Message>> read(Instant deadline) override { return socket_->read(deadline); }
  awaitable<Result<void>> write(Message message, Instant deadline) override {
    return socket_->write(std::move(message), deadline);
  }
  awaitable<void> close(CloseCode code, std::string reason) override {
    return socket_->close(code, std::move(reason));
  }
  void drop() override { socket_->drop(Errc::closed, "the WebSocket was dropped"); }
  bool is_open() const override { return !socket_->ended; }
  CloseCode close_code() const override { return socket_->close_code; }
  std::string close_reason() const override { return socket_->close_reason; }

 private:
  std::shared_ptr<BeastSocket> socket_;
};

}  // namespace

awaitable<Result<std::unique_ptr<WebSocket>>> accept_websocket(
    std::unique_ptr<ByteStream> stream, std::shared_ptr<DeadlineSweep> sweep, const Request& request,
    const HeaderList& headers, WebSocketLimits limits, std::string first_bytes) {
  auto socket =
      std::make_shared<BeastSocket>(std::move(stream), std::move(sweep), limits, std::move(first_bytes));
  std::unique_ptr<WebSocket> out = std::make_unique<BeastWebSocket>(socket);
  ATELIER_CO_TRY_VOID(co_await socket->accept(request, headers));
  co_return out;
}

awaitable<Result<std::unique_ptr<WebSocket>>> dial_websocket(std::unique_ptr<ByteStream> stream,
                                                             std::shared_ptr<DeadlineSweep> sweep,
                                                             std::string host, std::string target,
                                                             HeaderList headers, WebSocketLimits limits,
                                                             Instant deadline) {
  auto socket = std::make_shared<BeastSocket>(std::move(stream), std::move(sweep), limits, std::string());
  std::unique_ptr<WebSocket> out = std::make_unique<BeastWebSocket>(socket);
  ATELIER_CO_TRY_VOID(co_await socket->dial(std::move(host), std::move(target), headers, deadline));
  co_return out;
}

awaitable<Result<std::unique_ptr<WebSocket>>> connect_websocket(Runtime& runtime, std::string url,
                                                                HeaderList headers, WebSocketLimits limits,
                                                                Instant deadline,
                                                                std::shared_ptr<const TlsContext> tls) {
  ATELIER_CO_TRY(const Url address, parse_url(url));
  ATELIER_CO_TRY(auto stream, co_await connect_url(runtime, address, std::move(tls), deadline));
  co_return co_await dial_websocket(std::move(stream), DeadlineSweep::make(runtime), address.authority(),
                                    address.target, std::move(headers), limits, deadline);
}

awaitable<Result<std::unique_ptr<WebSocket>>> connect_websocket_over(Runtime& runtime,
                                                                     std::unique_ptr<ByteStream> stream,
                                                                     std::string url, HeaderList headers,
                                                                     WebSocketLimits limits,
                                                                     Instant deadline) {
  ATELIER_CO_TRY(const Url address, parse_url(url));
  co_return co_await dial_websocket(std::move(stream), DeadlineSweep::make(runtime), address.authority(),
                                    address.target, std::move(headers), limits, deadline);
}

}  // namespace atelier::net
