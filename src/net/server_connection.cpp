// SPDX-License-Identifier: MIT
#include "net/server_connection.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/log.hpp"
#include "net/websocket_internal.hpp"

namespace atelier::net {
namespace {

constexpr std::uint64_t kPipelinedPerTurn = 16;
constexpr std::size_t kHeadBytesKept = 4 << 10;
constexpr milliseconds kLingerTime{5'000};

/// The Date header's value, made once per second.
std::string_view date_line(WallTime now) {
  thread_local std::int64_t second = -1;
  thread_local std::string line;
  if (now.ms / 1000 != second) {
    second = now.ms / 1000;
    line = "Date: " + http_date(second) + "\r\n";
  }
  return line;
}

void append_number(std::string& text, std::uint64_t number) {
  std::array<char, 20> digits;
  text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

/// Framing is the server's business, whatever the handler wrote.
void remove_framing(HeaderList& headers, bool keep_length) {
  if (!keep_length) headers.remove("Content-Length");
  headers.remove("Transfer-Encoding");
  headers.remove("Connection");
}

/// Head and body as two buffers, if the body lies in memory.
bool lies_in_memory(std::string_view head, const Body& body, std::array<std::string_view, 2>& buffers) {
  buffers[0] = head;
  if (const auto* bytes = std::get_if<std::string>(&body)) {
    buffers[1] = *bytes;
  } else if (const auto* shared = std::get_if<SharedBody>(&body)) {
    buffers[1] = shared->view();
  } else {
    return std::holds_alternative<std::monostate>(body);
  }
  return true;
}

/// Takes what was sent off `buffers`. A failure shows again at the next write.
void take_sent(const Transfer& transfer, std::array<std::string_view, 2>& buffers) {
  std::size_t sent = transfer.state == Transfer::State::done ? transfer.bytes : 0;
  for (std::string_view& buffer : buffers) {
    const std::size_t taken = std::min(sent, buffer.size());
    buffer.remove_prefix(taken);
    sent -= taken;
  }
}

/// Sends what the stream takes of `buffers`, which are a head and `body`; true if nothing is left.
bool sends_at_once(ByteStream& stream, const Body& body, std::array<std::string_view, 2>& buffers) {
  const auto* shared = std::get_if<SharedBody>(&body);
  if (shared != nullptr && shared->file() >= 0 && shared->view().size() >= KeptBytes::kFileMin &&
      stream.prefers_files()) {
    take_sent(stream.try_write({buffers.data(), 1}, More::yes), buffers);
    if (!buffers[0].empty()) return false;
    take_sent(stream.try_file(shared->file(), shared->offset(), buffers[1].size(), More::no), buffers);
  } else {
    take_sent(stream.try_write(buffers), buffers);
  }
  return buffers[0].empty() && buffers[1].empty() && stream.buffered() == 0;
}

bool has_no_body(unsigned status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

ServerShared::ServerShared(Runtime& r, ServerLimits l, Handler h)
    : runtime(r), limits(l), handler(std::move(h)), sweep(DeadlineSweep::make(r)) {}

ServerConnection::ServerConnection(ServerShared& shared, std::unique_ptr<ByteStream> stream, Peer peer,
                                   std::uint64_t mark)
    : shared_(shared),
      stream_(std::move(stream), shared.sweep),
      input_(stream_),
      peer_(std::move(peer)),
      mark_(mark),
      opened_(shared.runtime.now()) {}

HeadLimits ServerConnection::head_limits() const {
  return {shared_.limits.head_bytes_max, shared_.limits.headers_max, shared_.limits.target_bytes_max};
}

void ServerConnection::stop() {
  if (idle_ && !released_) stream_->interrupt();
}

void ServerConnection::close() {
  if (!released_) stream_->close();
}

awaitable<void> ServerConnection::run() {
  Next next = Next::request;
  while (next == Next::request) {
    if (shared_.stopping && input_.pending().empty()) break;
    next = co_await serve_one();
    if (next == Next::request && !input_.pending().empty() && ++served_ % kPipelinedPerTurn == 0) {
      co_await asio::post(shared_.runtime.executor(), use_awaitable);
    }
  }
  if (next == Next::websocket) co_await run_websocket();
  if (released_) co_return;
  if (next == Next::close) co_await linger();
  stream_->close();
}

awaitable<ServerConnection::Next> ServerConnection::serve_one() {
  HeadScanner scanner(head_limits());
  idle_ = true;
  const milliseconds patience = served_ == 0 ? shared_.limits.header_time : shared_.limits.idle_time;
  const MessageInput::Head bytes =
      co_await input_.read_head(scanner, shared_.runtime.now() + patience, shared_.limits.header_time);
  idle_ = false;
  if (bytes.end == MessageInput::Head::End::closed) co_return Next::gone;
  if (bytes.end == MessageInput::Head::End::timeout) {
    if (!bytes.started) co_return Next::gone;
    ++shared_.counters.timeouts;
    co_return co_await refuse({408, "the request's head took too long"});
  }
  if (bytes.end == MessageInput::Head::End::refused) co_return co_await refuse(scanner.error());
  Request request;
  RequestHead head;
  if (auto error = parse_request_head(bytes.head, head_limits(), request, head))
    co_return co_await refuse(std::move(*error));
  ++shared_.counters.requests;
  ++served_;
  request.peer = peer_;
  request.secure = stream_->is_secure();
  request.listener_mark = mark_;
  const BodyPace pace{shared_.limits.body_idle, shared_.limits.body_grace,
                      shared_.limits.body_bytes_per_second_min};
  MessageBody body(stream_, input_, head.framing, pace, MessageBody::Side::server);
  if (head.expects_continue && input_.pending().empty()) body.send_continue_first();
  request.body = &body;
  Response response;
  if (request.target == "*") {
    response.status = 204;
    response.headers.add("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  } else if (!answers_quickly(request, response)) {
    response = co_await handle(request);
  }
  if (response.upgrade) {
    auto refusal = refuse_upgrade(request, head);
    if (!refusal) co_return co_await upgrade(request, std::move(response));
    response = std::move(*refusal);
  }
  // Most answers fit into the socket's buffer: no coroutine for them.
  const Outgoing outgoing = begin_answer(request, head, body, response);
  std::array<std::string_view, 2> buffers;
  const bool in_memory = lies_in_memory(head_, response.body, buffers);
  const bool sent = in_memory && sends_at_once(*stream_, response.body, buffers);
  if (sent && outgoing.keep && body.done() && head_.capacity() <= kHeadBytesKept) co_return Next::request;
  co_return co_await finish_answer(request, body, response, outgoing, buffers);
}

/// For what no handler ever sees; the connection ends, because its framing cannot be trusted any more.
awaitable<ServerConnection::Next> ServerConnection::refuse(HeadError error) {
  ++shared_.counters.bad_requests;
  Response response = Response::text(error.status, error.text + "\n");
  if (error.status == 405) response.headers.add("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  write_head(response, length_of(response.body), false, false, false);
  const auto sent = co_await send_message(stream_, head_, response.body, false, send_limits());
  co_return sent ? Next::close : Next::gone;
}

std::optional<Response> ServerConnection::refuse_upgrade(const Request& request, const RequestHead& head) {
  if (request.wants_websocket() && head.framing.kind == Framing::Kind::none) return std::nullopt;
  Response response = Response::text(426, "this address speaks WebSocket (version 13) only\n");
  response.headers.add("Upgrade", "websocket");
  response.headers.add("Sec-WebSocket-Version", "13");
  return response;
}

awaitable<Response> ServerConnection::handle(Request& request) {
  std::string failure;
  try {
    co_return co_await shared_.handler(request);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;  // this connection is being cancelled
    failure = error.what();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  co_return failed(request, failure);
}

bool ServerConnection::answers_quickly(Request& request, Response& response) {
  if (!shared_.quick) return false;
  try {
    return shared_.quick(request, response);
  } catch (const std::exception& error) {
    response = failed(request, error.what());
    return true;
  }
}

Response ServerConnection::failed(const Request& request, const std::string& reason) {
  ++shared_.counters.handler_failures;
  log::error("handler_failed",
             {{"method", to_string(request.method)}, {"path", request.path()}, {"reason", reason}});
  return Response::text(500, "the server made a mistake; it is in its log\n");
}

ServerConnection::Outgoing ServerConnection::begin_answer(const Request& request, const RequestHead& head,
                                                          const MessageBody& body, Response& response) {
  const bool old_peer = request.version_minor == 0;
  Outgoing outgoing;
  outgoing.keep = head.keep_alive && !shared_.stopping && !response.close_connection && !body.broken() &&
                  !body.continue_pending() && !response.headers.has_token("Connection", "close") &&
                  body.left().value_or(0) <= shared_.limits.drain_bytes_max;
  const bool bodiless = request.is_head || has_no_body(response.status);
  std::optional<std::uint64_t> length = length_of(response.body);
  const bool own_length = bodiless && response.headers.contains("Content-Length");
  remove_framing(response.headers, own_length);
  outgoing.chunked = !length && !old_peer;
  if (!length && old_peer) outgoing.keep = false;  // the body ends with the connection
  if (own_length || has_no_body(response.status)) length = std::nullopt;
  write_head(response, length, outgoing.chunked && !bodiless, outgoing.keep, old_peer);
  if (bodiless) response.body = std::monostate{};
  return outgoing;
}

/// `buffers`: what is left of head and body, if both lie in memory.
awaitable<ServerConnection::Next> ServerConnection::finish_answer(Request& request, MessageBody& body,
                                                                  Response& response, Outgoing outgoing,
                                                                  std::array<std::string_view, 2> buffers) {
  Result<void> sent;
  std::array<std::string_view, 2> whole;
  if (!lies_in_memory(head_, response.body, whole)) {
    sent = co_await send_message(stream_, head_, response.body, outgoing.chunked, send_limits());
  } else if (!buffers[0].empty() || !buffers[1].empty() || stream_->buffered() > 0) {
    sent = co_await write_all(stream_, buffers, More::no, send_limits());
  }
  if (head_.capacity() > kHeadBytesKept) head_ = std::string();
  if (!sent) {
    if (sent.error().code == Errc::timeout) ++shared_.counters.timeouts;
    if (sent.error().code != Errc::closed && sent.error().code != Errc::timeout) {
      log::warn("answer_broke_off", {{"path", request.path()}, {"reason", sent.error().what}});
    }
    co_return Next::gone;
  }
  if (!outgoing.keep) co_return Next::close;
  if (body.done()) co_return Next::request;
  co_return co_await drain(body) ? Next::request : Next::close;
}

awaitable<ServerConnection::Next> ServerConnection::upgrade(Request& request, Response response) {
  std::string rest = input_.take_rest();
  released_ = true;
  auto stream = stream_.release();
  auto socket = co_await accept_websocket(std::move(stream), shared_.sweep, request, response.headers,
                                          response.upgrade_limits, std::move(rest));
  if (!socket) co_return Next::gone;
  websocket_ = std::move(*socket);
  run_upgraded_ = std::move(response.upgrade);
  upgraded_path_ = request.path();
  co_return Next::websocket;
}

awaitable<void> ServerConnection::run_websocket() {
  struct Count {
    explicit Count(std::size_t& c) : open(c) { ++open; }
    ~Count() { --open; }
    std::size_t& open;
  } count(shared_.counters.websockets_open);
  std::string failure;
  try {
    co_await run_upgraded_(std::move(websocket_));
    co_return;
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    failure = error.what();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  ++shared_.counters.handler_failures;
  log::error("handler_failed", {{"method", "websocket"}, {"path", upgraded_path_}, {"reason", failure}});
}

/// Reads and drops what the handler left of a body; false if it is too much or broken.
awaitable<bool> ServerConnection::drain(MessageBody& body) {
  std::size_t dropped = 0;
  std::string buffer;
  while (!body.done()) {
    buffer.resize(16 << 10);
    const auto count = co_await body.read(buffer, shared_.runtime.now() + shared_.limits.header_time);
    if (!count) co_return false;
    dropped += *count;
    if (dropped > shared_.limits.drain_bytes_max) co_return false;
  }
  co_return true;
}

/// Says FIN and reads on for a moment, so that the peer gets the answer before a reset for its unread bytes.
awaitable<void> ServerConnection::linger() {
  stream_->shutdown_send();
  const Instant end = shared_.runtime.now() + kLingerTime;
  while (!shared_.stopping && shared_.runtime.now() < end) {
    idle_ = true;  // stop() may interrupt it
    if (co_await stream_.wait(ByteStream::Wait::readable, end) != TimedStream::End::ready) co_return;
    const Transfer transfer = stream_->try_read(scratch());
    if (transfer.state == Transfer::State::end || transfer.state == Transfer::State::failed) co_return;
  }
}

void ServerConnection::write_head(const Response& response, std::optional<std::uint64_t> length, bool chunked,
                                  bool keep, bool old_peer) {
  head_.clear();
  head_ += "HTTP/1.1 ";
  append_number(head_, response.status);
  head_ += ' ';
  head_ += reason_phrase(response.status);
  head_ += "\r\n";
  const bool dated = response.headers.contains("Date") ||
                     (response.shared_headers && response.shared_headers->contains("Date"));
  if (!dated) head_ += date_line(shared_.runtime.wall());
  if (response.shared_headers) head_ += response.shared_headers->wire();
  head_ += response.headers.wire();
  if (length) {
    head_ += "Content-Length: ";
    append_number(head_, *length);
    head_ += "\r\n";
  }
  if (chunked) head_ += "Transfer-Encoding: chunked\r\n";
  if (response.status == 426) {
    head_ += keep ? "Connection: upgrade\r\n" : "Connection: upgrade, close\r\n";
  } else if (!keep) {
    head_ += "Connection: close\r\n";
  } else if (old_peer) {
    head_ += "Connection: keep-alive\r\n";
  }
  head_ += "\r\n";
}

}  // namespace atelier::net
