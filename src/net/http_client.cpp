// SPDX-License-Identifier: MIT
#include "net/http_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "net/message_io.hpp"

namespace atelier::net {
namespace {

struct Connection {
  Connection(std::unique_ptr<ByteStream> bytes, std::shared_ptr<DeadlineSweep> sweep)
      : stream(std::move(bytes), std::move(sweep)), input(stream) {}
  /// An idle connection has nothing to say: anything but "would block" means that it is of no use.
  [[nodiscard]] bool is_quiet() {
    return input.pending().empty() && stream->is_open() &&
           stream->try_read(scratch().first(1)).state == Transfer::State::would_block;
  }
  TimedStream stream;
  MessageInput input;
  std::string origin;  // "": of one request, never kept
  Instant idle_since{};
  bool reused = false;
};

/// Idle connections by "scheme://host:port". Outlives the client while answers are being read.
struct Pool {
  explicit Pool(ClientLimits l) : limits(l) {}
  [[nodiscard]] std::unique_ptr<Connection> take(const std::string& origin, Instant now) {
    for (auto& [name, list] : idle) {
      std::erase_if(list, [&](const auto& c) { return now - c->idle_since > limits.idle_time; });
    }
    std::erase_if(idle, [&](const auto& entry) { return entry.second.empty() && entry.first != origin; });
    auto& list = idle[origin];
    while (!list.empty()) {
      auto connection = std::move(list.back());
      list.pop_back();
      if (!connection->is_quiet()) continue;
      connection->reused = true;
      return connection;
    }
    return nullptr;
  }
  void put(std::unique_ptr<Connection> connection, Instant now) {
    auto& list = idle[connection->origin];
    if (closed || list.size() >= limits.idle_connections_per_origin_max) return;
    connection->idle_since = now;
    list.push_back(std::move(connection));
  }
  ClientLimits limits;
  std::map<std::string, std::vector<std::unique_ptr<Connection>>> idle;
  bool closed = false;
};

/// Reads an answer's body; gives the connection back at its end.
class AnswerBody final : public BodyReader {
 public:
  AnswerBody(std::unique_ptr<Connection> connection, std::shared_ptr<Pool> pool, Framing framing,
             bool keep_alive)
      : connection_(std::move(connection)),
        pool_(std::move(pool)),
        keep_alive_(keep_alive),
        body_(connection_->stream, connection_->input, framing,
              BodyPace{pool_->limits.stall, std::nullopt, 1}, MessageBody::Side::client) {
    give_back_if_done();
  }

  awaitable<Result<std::size_t>> read(std::span<char> into, Instant deadline) override {
    if (!connection_) co_return std::size_t{0};
    auto result = co_await body_.read(into, deadline);
    give_back_if_done();
    co_return result;
  }

 private:
  void give_back_if_done() {
    if (!body_.done() || !connection_) return;
    if (keep_alive_) {
      const Instant now = connection_->stream.now();
      pool_->put(std::move(connection_), now);
    }
    connection_.reset();
  }

  std::unique_ptr<Connection> connection_;
  std::shared_ptr<Pool> pool_;
  bool keep_alive_;
  MessageBody body_;
};

/// A longer body is not sent a second time: much of it may have arrived, and its sender can ask how much.
constexpr std::uint64_t kRepeatedBytesMax = 64 << 10;

bool is_idempotent(Method method) {
  return method != Method::post && method != Method::patch && method != Method::other;
}

std::string request_head(ClientRequest& request, bool& chunked) {
  HeaderList& headers = request.headers;
  headers.remove("Content-Length");
  headers.remove("Transfer-Encoding");
  std::string head = fmt::format("{} {} HTTP/1.1\r\n", to_string(request.method), request.url.target);
  if (!headers.contains("Host")) head += fmt::format("Host: {}\r\n", request.url.authority());
  head += headers.wire();
  const auto length = length_of(request.body);
  chunked = !length;
  const bool takes_body =
      request.method == Method::post || request.method == Method::put || request.method == Method::patch;
  if (chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (*length > 0 || takes_body) {
    head += fmt::format("Content-Length: {}\r\n", *length);
  }
  head += "\r\n";
  return head;
}

constexpr int kInterimMax = 16;  // of 1xx before an answer

struct Failure {
  Error error;
  bool before_any_byte;
};
using Attempt = std::expected<ClientResponse, Failure>;

awaitable<std::expected<ResponseHead, Failure>> read_answer(Connection& connection, HeadLimits limits,
                                                            Instant deadline) {
  for (int interim = 0; interim <= kInterimMax; ++interim) {
    HeadScanner scanner(limits);
    const auto bytes =
        co_await connection.input.read_head(scanner, deadline, deadline - connection.stream.now());
    using End = MessageInput::Head::End;
    if (bytes.end == End::timeout)
      co_return std::unexpected(Failure{{Errc::timeout, "no answer in time"}, false});
    if (bytes.end == End::closed) {
      co_return std::unexpected(
          Failure{{Errc::closed, "the connection ended before the answer"}, !bytes.started});
    }
    if (bytes.end == End::refused) {
      co_return std::unexpected(
          Failure{{Errc::protocol, "the answer is no HTTP: " + scanner.error().text}, false});
    }
    auto head = parse_response_head(bytes.head, limits);
    if (!head) co_return std::unexpected(Failure{std::move(head).error(), false});
    if (head->status == 101)
      co_return std::unexpected(Failure{{Errc::protocol, "an answer 101 that nobody asked for"}, false});
    if (head->status >= 200) co_return std::move(*head);
  }
  co_return std::unexpected(Failure{{Errc::protocol, "interim answers without an end"}, false});
}

}  // namespace

struct HttpClient::Impl {
  Impl(Runtime& r, ClientLimits limits, std::shared_ptr<const TlsContext> t)
      : runtime(r), pool(std::make_shared<Pool>(limits)), sweep(DeadlineSweep::make(r)), tls(std::move(t)) {}
  awaitable<Result<std::unique_ptr<Connection>>> open(const Url& url, std::string origin, Instant deadline);
  awaitable<Attempt> attempt(std::unique_ptr<Connection> connection, ClientRequest& request,
                             Instant deadline);

  Runtime& runtime;
  std::shared_ptr<Pool> pool;
  std::shared_ptr<DeadlineSweep> sweep;
  std::shared_ptr<const TlsContext> tls;
};

HttpClient::HttpClient(Runtime& runtime, ClientLimits limits, std::shared_ptr<const TlsContext> tls)
    : impl_(std::make_shared<Impl>(runtime, limits, std::move(tls))) {}

HttpClient::~HttpClient() {
  impl_->pool->closed = true;
  impl_->pool->idle.clear();
}

awaitable<Result<std::unique_ptr<Connection>>> HttpClient::Impl::open(const Url& url, std::string origin,
                                                                      Instant deadline) {
  const Instant limit = std::min(deadline, runtime.now() + pool->limits.connect_time);
  ATELIER_CO_TRY(auto stream, co_await connect_url(runtime, url, tls, limit));
  auto connection = std::make_unique<Connection>(std::move(stream), sweep);
  connection->origin = std::move(origin);
  co_return connection;
}

awaitable<Attempt> HttpClient::Impl::attempt(std::unique_ptr<Connection> connection, ClientRequest& request,
                                             Instant deadline) {
  bool chunked = false;
  const std::string head = request_head(request, chunked);
  const SendLimits limits{pool->limits.stall, deadline};
  auto sent = co_await send_message(connection->stream, head, request.body, chunked, limits);
  if (!sent && sent.error().code != Errc::closed)
    co_return std::unexpected(Failure{std::move(sent).error(), false});
  // A peer that refuses a long body answers and closes: its answer may be there although sending failed.
  const Instant limit = sent ? deadline : std::min(deadline, runtime.now() + milliseconds{2'000});
  const HeadLimits head_limits{pool->limits.head_bytes_max, 256, 8 << 10};
  auto answer = co_await read_answer(*connection, head_limits, limit);
  if (!answer) {
    if (!sent) answer.error().error = std::move(sent).error();
    co_return std::unexpected(std::move(answer).error());
  }
  const bool keep_alive = answer->keep_alive && sent.has_value() && !connection->origin.empty();
  const Framing framing = request.method == Method::head ? Framing{} : answer->framing;
  std::optional<std::uint64_t> length;
  if (answer->framing.kind == Framing::Kind::none || answer->framing.kind == Framing::Kind::length) {
    length = answer->framing.length;
  }
  auto body = std::make_unique<AnswerBody>(std::move(connection), pool, framing, keep_alive);
  co_return ClientResponse(answer->status, std::move(answer->headers), length, std::move(body));
}

awaitable<Result<ClientResponse>> HttpClient::request(ClientRequest request, Instant deadline) {
  auto impl = impl_;  // the client may go away meanwhile
  const std::string origin = request.url.scheme + "://" + request.url.authority();
  auto connection = impl->pool->take(origin, impl->runtime.now());
  if (!connection) {
    ATELIER_CO_TRY(connection, co_await impl->open(request.url, origin, deadline));
  }
  const bool may_repeat = connection->reused && is_idempotent(request.method) &&
                          !std::holds_alternative<StreamBody>(request.body) &&
                          length_of(request.body).value_or(0) <= kRepeatedBytesMax;
  Attempt first = co_await impl->attempt(std::move(connection), request, deadline);
  if (first) co_return std::move(*first);
  if (!may_repeat || !first.error().before_any_byte)
    co_return std::unexpected(std::move(first).error().error);
  // The server had closed it while it lay in the pool.
  ATELIER_CO_TRY(auto fresh, co_await impl->open(request.url, origin, deadline));
  Attempt second = co_await impl->attempt(std::move(fresh), request, deadline);
  if (!second) co_return std::unexpected(std::move(second).error().error);
  co_return std::move(*second);
}

awaitable<Result<ClientResponse>> HttpClient::request_over(std::unique_ptr<ByteStream> stream,
                                                           ClientRequest request, Instant deadline) {
  auto impl = impl_;
  request.headers.set("Connection", "close");
  auto connection = std::make_unique<Connection>(std::move(stream), impl->sweep);
  Attempt only = co_await impl->attempt(std::move(connection), request, deadline);
  if (!only) co_return std::unexpected(std::move(only).error().error);
  co_return std::move(*only);
}

}  // namespace atelier::net
