// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "net/deadline_sweep.hpp"
#include "net/http.hpp"
#include "net/tls_internal.hpp"
#include "net/wait_slot.hpp"

namespace atelier::net {
namespace {

constexpr std::size_t kRecordBytesMax = 16 << 10;
constexpr std::size_t kTurnBytesMax = 128 << 10;  // encrypted and sent in one go

/// Where OpenSSL's records come from and go to.
struct Channel {
  std::unique_ptr<ByteStream> stream;
  std::string first;     // what was read from it before
  std::string held;      // records that the kernel has not taken
  bool starved = false;  // the last read found nothing
  bool ended = false;
  int error = 0;
};

/// Records made within one call, before they are sent: of this thread, empty between calls.
std::string& outgoing() {
  thread_local std::string records;
  return records;
}

int channel_read(BIO* bio, char* into, int length) {
  auto& channel = *static_cast<Channel*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (!channel.first.empty()) {
    const std::size_t count = channel.first.copy(into, static_cast<std::size_t>(length));
    channel.first.erase(0, count);
    return static_cast<int>(count);
  }
  const Transfer transfer = channel.stream->try_read({into, static_cast<std::size_t>(length)});
  channel.starved = transfer.state == Transfer::State::would_block;
  switch (transfer.state) {
    case Transfer::State::done:
      return static_cast<int>(transfer.bytes);
    case Transfer::State::would_block:
      BIO_set_retry_read(bio);
      return -1;
    case Transfer::State::end:
      channel.ended = true;
      return 0;
    case Transfer::State::failed:
      channel.error = transfer.error;
      return -1;
  }
  return -1;
}

int channel_write(BIO*, const char* bytes, int length) {
  outgoing().append(bytes, static_cast<std::size_t>(length));
  return length;
}

long channel_control(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return static_cast<Channel*>(BIO_get_data(bio))->ended ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO* make_bio(Channel& channel) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "atelier channel");
    BIO_meth_set_read(made, channel_read);
    BIO_meth_set_write(made, channel_write);
    BIO_meth_set_ctrl(made, channel_control);
    return made;
  }();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, &channel);
  BIO_set_init(bio, 1);
  return bio;
}

class TlsStream final : public ByteStream {
 public:
  enum class Side { server, client };

  TlsStream(std::unique_ptr<ByteStream> stream, SSL_CTX* context, Side side, std::string first = {})
      : ssl_(SSL_new(context)),
        server_(side == Side::server),
        readable_(stream->executor()),
        writable_(stream->executor()),
        self_(std::make_shared<TlsStream*>(this)) {
    channel_.stream = std::move(stream);
    channel_.first = std::move(first);
    BIO* bio = make_bio(channel_);
    SSL_set_bio(ssl_.get(), bio, bio);
    server_ ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  }
  ~TlsStream() override { close(); }

  Transfer try_read(std::span<char> into) override {
    std::size_t taken = 0;
    int result = 1;
    do {
      ERR_clear_error();
      std::size_t count = 0;
      result = SSL_read_ex(ssl_.get(), into.data() + taken, into.size() - taken, &count);
      if (result > 0) taken += count;
    } while (result > 0 && taken < into.size() && can_read_at_once());
    const int error = result > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
    const Transfer sent = error == SSL_ERROR_SSL ? give_up() : send_outgoing();
    if (taken > 0) return Transfer::moved(taken);
    if (sent.state == Transfer::State::failed) return sent;
    switch (error) {
      case SSL_ERROR_WANT_READ:
        return Transfer::blocked();
      case SSL_ERROR_ZERO_RETURN:
        return Transfer::ended();
      default:
        return Transfer::broken(channel_.error != 0 ? channel_.error : ECONNRESET);
    }
  }

  Transfer try_write(std::span<const std::string_view> buffers, More) override {
    if (const Transfer earlier = try_flush(); earlier.state != Transfer::State::done) return earlier;
    std::size_t taken = 0, done = 0;
    while (taken < kTurnBytesMax) {
      const std::string_view record = next_record(buffers, done);
      if (record.empty()) break;
      if (!encrypt(record)) {
        outgoing().clear();
        return Transfer::broken(EPROTO);
      }
      taken += record.size();
    }
    if (const Transfer sent = send_outgoing(); sent.state == Transfer::State::failed) return sent;
    return Transfer::moved(taken);
  }

  Transfer try_flush() override {
    if (channel_.held.empty()) return Transfer::moved(0);
    const std::string_view held = channel_.held;
    const Transfer transfer = channel_.stream->try_write({&held, 1});
    if (transfer.state == Transfer::State::failed) return transfer;
    channel_.held.erase(0, transfer.bytes);
    if (!channel_.held.empty()) return Transfer::blocked();
    channel_.held = std::string();  // gives the memory back, too
    if (end_when_flushed_) channel_.stream->shutdown_send();
    return Transfer::moved(0);
  }

  Transfer try_file(int fd, std::uint64_t offset, std::size_t length, More more) override {
    thread_local const std::unique_ptr<char[]> bytes(new char[kTurnBytesMax]);
    if (const Transfer earlier = try_flush(); earlier.state != Transfer::State::done) return earlier;
    ssize_t count = 0;
    do {
      count = ::pread(fd, bytes.get(), std::min(length, kTurnBytesMax), static_cast<off_t>(offset));
    } while (count < 0 && errno == EINTR);
    if (count < 0) return Transfer::broken(errno);
    if (count == 0) return length == 0 ? Transfer::moved(0) : Transfer::ended();
    const std::string_view piece(bytes.get(), static_cast<std::size_t>(count));
    return try_write({&piece, 1}, more);
  }

  std::size_t buffered() const override { return channel_.held.size(); }

  void async_wait(Wait what, WaitHandler handler) override {
    if (what == Wait::writable) {
      writable_.arm(std::move(handler));
      pump();
    } else if (can_read_at_once()) {
      readable_.arm(std::move(handler));
      readable_.finish();
    } else {
      channel_.stream->async_wait(Wait::readable, std::move(handler));
    }
  }
  void interrupt() override {
    readable_.finish(asio::error::operation_aborted);
    writable_.finish(asio::error::operation_aborted);
    channel_.stream->interrupt();
  }
  void shutdown_send() override {
    if (SSL_in_init(ssl_.get()) == 0) {
      ERR_clear_error();
      SSL_shutdown(ssl_.get());
      [[maybe_unused]] const Transfer sent = send_outgoing();
    }
    end_when_flushed_ = true;
    if (channel_.held.empty()) channel_.stream->shutdown_send();
  }
  void close() override {
    readable_.finish(asio::error::operation_aborted);
    writable_.finish(asio::error::operation_aborted);
    channel_.stream->close();
  }
  bool is_open() const override { return channel_.stream->is_open(); }
  bool is_secure() const override { return true; }
  Executor executor() override { return channel_.stream->executor(); }

  [[nodiscard]] SSL* ssl() { return ssl_.get(); }
  /// One step of the client's handshake: done, would_block (wait until readable) or failed.
  Transfer try_handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), result);
    failure_ = error == SSL_ERROR_SSL ? openssl_reason() : "the connection ended";
    const Transfer sent = send_outgoing();
    if (sent.state == Transfer::State::failed) return sent;
    if (result == 1) return Transfer::moved(0);
    if (error == SSL_ERROR_WANT_READ) return Transfer::blocked();
    return Transfer::broken(channel_.error != 0 ? channel_.error : EPROTO);
  }
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  /// What OpenSSL has got already, unless a read has just shown that it is only the beginning of a record.
  [[nodiscard]] bool can_read_at_once() const {
    return !channel_.starved && SSL_has_pending(ssl_.get()) == 1;
  }

  /// The next bytes that make one record: head and start of a body share it (net.md 2.6). `done` bytes of the
  /// first buffer are used already.
  static std::string_view next_record(std::span<const std::string_view>& buffers, std::size_t& done) {
    thread_local std::array<char, kRecordBytesMax> joined;
    std::size_t size = 0;
    while (!buffers.empty()) {
      const std::string_view rest = buffers.front().substr(done);
      if (size == 0 && rest.size() >= kRecordBytesMax) {
        done += kRecordBytesMax;
        return rest.substr(0, kRecordBytesMax);
      }
      const std::size_t count = std::min(rest.size(), kRecordBytesMax - size);
      std::copy_n(rest.data(), count, joined.data() + size);
      size += count;
      done += count;
      if (size == kRecordBytesMax) break;
      buffers = buffers.subspan(1);
      done = 0;
    }
    return {joined.data(), size};
  }

  bool encrypt(std::string_view record) {
    ERR_clear_error();
    std::size_t written = 0;
    return SSL_write_ex(ssl_.get(), record.data(), record.size(), &written) == 1 && written == record.size();
  }

  /// Records of this call to the kernel; what it does not take is held and sent later.
  Transfer send_outgoing() {
    std::string& records = outgoing();
    if (records.empty()) return Transfer::moved(0);
    std::size_t sent = 0;
    if (channel_.held.empty()) {
      const std::string_view view = records;
      const Transfer transfer = channel_.stream->try_write({&view, 1});
      if (transfer.state == Transfer::State::failed) {
        records.clear();
        return transfer;
      }
      sent = transfer.bytes;
    }
    channel_.held.append(records, sent);
    records.clear();
    if (!channel_.held.empty()) pump();
    return Transfer::moved(0);
  }

  /// The peer does not keep to TLS: an alert goes out, or plain words to a peer that speaks plain HTTP.
  Transfer give_up() {
    static constexpr std::string_view kPlain =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 51\r\n"
        "Connection: close\r\n\r\nThis port speaks HTTPS: use https:// in the link.\r\n";
    if (server_ && ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_HTTP_REQUEST) outgoing() = kPlain;
    ERR_clear_error();
    return send_outgoing();
  }

  /// Sends what is held as soon as that is possible, whoever waits for it or not.
  void pump() {
    if (std::exchange(pumping_, true)) return;
    channel_.stream->async_wait(Wait::writable,
                                [self = std::weak_ptr(self_)](boost::system::error_code error) {
                                  if (const auto alive = self.lock()) (*alive)->pumped(error);
                                });
  }
  void pumped(boost::system::error_code error) {
    pumping_ = false;
    const bool blocked = error || try_flush().state == Transfer::State::would_block;
    if (!blocked) return writable_.finish();
    if (is_open() && (!error || !channel_.held.empty() || writable_.armed())) pump();
  }

  Channel channel_;
  std::unique_ptr<SSL, FreeOpenssl> ssl_;
  bool server_;
  bool pumping_ = false;
  bool end_when_flushed_ = false;
  std::string failure_;
  WaitSlot readable_, writable_;
  std::shared_ptr<TlsStream*> self_;
};

/// Plain until the first byte of a TLS handshake comes as the first byte of all.
class EitherStream final : public ByteStream {
 public:
  EitherStream(std::unique_ptr<ByteStream> stream, std::shared_ptr<const TlsContext> context)
      : stream_(std::move(stream)), context_(std::move(context)) {}

  Transfer try_read(std::span<char> into) override {
    static constexpr char kHandshake = 0x16;  // RFC 8446 5.1
    const Transfer transfer = stream_->try_read(into);
    if (!context_ || transfer.state != Transfer::State::done) return transfer;
    const auto context = std::exchange(context_, nullptr);
    if (into.front() != kHandshake) return transfer;
    stream_ = std::make_unique<TlsStream>(std::move(stream_), native(*context), TlsStream::Side::server,
                                          std::string(into.data(), transfer.bytes));
    return stream_->try_read(into);
  }
  Transfer try_write(std::span<const std::string_view> buffers, More more) override {
    return stream_->try_write(buffers, more);
  }
  Transfer try_flush() override { return stream_->try_flush(); }
  Transfer try_file(int fd, std::uint64_t offset, std::size_t length, More more) override {
    return stream_->try_file(fd, offset, length, more);
  }
  std::size_t buffered() const override { return stream_->buffered(); }
  void async_wait(Wait what, WaitHandler handler) override { stream_->async_wait(what, std::move(handler)); }
  void interrupt() override { stream_->interrupt(); }
  void shutdown_send() override { stream_->shutdown_send(); }
  void close() override { stream_->close(); }
  bool is_open() const override { return stream_->is_open(); }
  bool prefers_files() const override { return stream_->prefers_files(); }
  bool is_secure() const override { return stream_->is_secure(); }
  Executor executor() override { return stream_->executor(); }

 private:
  std::unique_ptr<ByteStream> stream_;
  std::shared_ptr<const TlsContext> context_;  // nothing: decided
};

/// The name that the certificate must be for, and (if it is a name) that the server is asked for.
bool set_peer_name(SSL* ssl, const std::string& host) {
  if (is_ip_literal(host)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  return SSL_set_tlsext_host_name(ssl, host.c_str()) == 1 && SSL_set1_host(ssl, host.c_str()) == 1;
}

Error handshake_error(TlsStream& stream, const std::string& host) {
  const long verdict = SSL_get_verify_result(stream.ssl());
  if (verdict != X509_V_OK) {
    return {Errc::unauthorized,
            fmt::format("the certificate of {}: {}", host, X509_verify_cert_error_string(verdict))};
  }
  return {Errc::protocol, fmt::format("no TLS connection to {}: {}", host, stream.failure())};
}

}  // namespace

std::unique_ptr<ByteStream> make_tls_server_stream(std::unique_ptr<ByteStream> stream,
                                                   const TlsContext& context) {
  return std::make_unique<TlsStream>(std::move(stream), native(context), TlsStream::Side::server);
}

std::unique_ptr<ByteStream> make_tls_or_plain_server_stream(std::unique_ptr<ByteStream> stream,
                                                            std::shared_ptr<const TlsContext> context) {
  return std::make_unique<EitherStream>(std::move(stream), std::move(context));
}

awaitable<Result<std::unique_ptr<ByteStream>>> make_tls_client_stream(
    Runtime& runtime, std::unique_ptr<ByteStream> stream, std::shared_ptr<const TlsContext> context,
    std::string host, Instant deadline) {
  auto made = std::make_unique<TlsStream>(std::move(stream), native(*context), TlsStream::Side::client);
  TlsStream& tls = *made;
  if (!set_peer_name(tls.ssl(), host)) {
    co_return fail(Errc::bad_request, fmt::format("\"{}\" is no name that a certificate can have", host));
  }
  TimedStream timed(std::move(made), DeadlineSweep::make(runtime));
  while (true) {
    const Transfer step = tls.try_handshake();
    if (step.state == Transfer::State::done) co_return timed.release();
    if (step.state != Transfer::State::would_block) co_return std::unexpected(handshake_error(tls, host));
    const auto end = co_await timed.wait(ByteStream::Wait::readable, deadline);
    if (end == TimedStream::End::timeout)
      co_return fail(Errc::timeout, fmt::format("{} does not answer with TLS", host));
    if (end == TimedStream::End::stopped) co_return fail(Errc::closed, "the connect was cancelled");
  }
}

awaitable<Result<std::unique_ptr<ByteStream>>> connect_url(Runtime& runtime, const Url& url,
                                                           std::shared_ptr<const TlsContext> context,
                                                           Instant deadline) {
  const bool secure = url.scheme == "https" || url.scheme == "wss";
  if (secure && !context) {
    static const Result<std::shared_ptr<const TlsContext>> kSystem = TlsContext::client();
    if (!kSystem) co_return std::unexpected(kSystem.error());
    context = *kSystem;
  }
  const std::string host = url.host;
  ATELIER_CO_TRY(auto stream, co_await connect_tcp(runtime, host, url.port, deadline));
  if (!secure) co_return std::move(stream);
  co_return co_await make_tls_client_stream(runtime, std::move(stream), std::move(context), host, deadline);
}

}  // namespace atelier::net
