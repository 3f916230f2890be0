// SPDX-License-Identifier: MIT
#pragma once
// WebSocket (RFC 6455, no extensions) for the faces, the worker link and the agent. Beast is behind it, in
// websocket.cpp only. One thread. All deadlines have a granularity of 1 s (one sweep per second, net.md 2.7).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "net/header_list.hpp"
#include "net/wait_slot.hpp"
#include "runtime/runtime.hpp"

namespace atelier::net {

class TlsContext;

/// For "no limit but those of the connection itself".
inline constexpr Instant kNoDeadline{INT64_MAX / 4};

enum class MessageKind : std::uint8_t { text, binary };

/// The payload is shared and immutable, so that one event goes to many sockets without a copy.
struct Message {
  Message() = default;
  Message(MessageKind message_kind, std::shared_ptr<const std::string> bytes)
      : kind(message_kind), payload(std::move(bytes)) {}
  [[nodiscard]] static Message text(std::string bytes) {
    return {MessageKind::text, std::make_shared<const std::string>(std::move(bytes))};
  }
  [[nodiscard]] static Message binary(std::string bytes) {
    return {MessageKind::binary, std::make_shared<const std::string>(std::move(bytes))};
  }
  [[nodiscard]] std::string_view view() const {
    return payload ? std::string_view(*payload) : std::string_view();
  }

  MessageKind kind = MessageKind::text;
  std::shared_ptr<const std::string> payload;
};

/// RFC 6455 7.4.1.
enum class CloseCode : std::uint16_t {
  none = 0,
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  abnormal = 1006,  // never on the wire: the connection ended without a close frame
  bad_payload = 1007,
  policy = 1008,
  too_big = 1009,
  internal = 1011,
  try_again_later = 1013,
};

struct WebSocketLimits {
  std::size_t message_bytes_max = 1 << 20;
  milliseconds ping_interval{20'000};
  int missed_pings_max = 2;  // then the connection is dropped; only bytes from the peer count as an answer
  milliseconds write_stall{60'000};
};

class WebSocket {
 public:
  /// Drops the connection at once if close() was not called.
  virtual ~WebSocket() = default;
  /// The next whole message. One reader at a time. A timeout or a cancelled caller leaves the socket usable:
  /// nothing is lost, the next read gets the message. Errors: timeout; cancelled; closed (see close_code());
  /// too_large, protocol (bad UTF-8, reserved bits, ...: the peer has been sent 1009, 1007 or 1002).
  [[nodiscard]] virtual awaitable<Result<Message>> read(Instant deadline) = 0;
  /// Writes one message as one frame; several callers take turns in the order of their calls. After a timeout
  /// the connection is dropped. A cancelled caller's message is still sent. Errors: timeout, closed,
  /// cancelled.
  [[nodiscard]] virtual awaitable<Result<void>> write(Message message, Instant deadline) = 0;
  /// Sends what waits and a close frame, waits up to 3 s for the peer's answer, ends the connection.
  /// Idempotent. `reason` at most 123 bytes, the rest is cut off.
  [[nodiscard]] virtual awaitable<void> close(CloseCode code, std::string reason) = 0;
  /// Ends the connection at once; reads and writes under way fail with `closed`.
  virtual void drop() = 0;
  [[nodiscard]] virtual bool is_open() const = 0;
  /// What the peer's close frame said; `abnormal` if the connection ended without one, `none` while open.
  [[nodiscard]] virtual CloseCode close_code() const = 0;
  [[nodiscard]] virtual std::string close_reason() const = 0;

  /// `callback` is called once when the connection has ended, whoever ended it; not from inside this
  /// function. One at a time; OutgoingQueue uses it.
  void when_ended(std::move_only_function<void()> callback) { on_end_ = std::move(callback); }

 protected:
  /// For implementations (a fake in a test may leave it out).
  void report_end() {
    if (auto callback = std::exchange(on_end_, nullptr)) callback();
  }

 private:
  std::move_only_function<void()> on_end_;
};

/// Dials `url` ("ws://host:port/target?query"). `headers` are added to the handshake (Authorization, ...).
/// `tls` as in HttpClient. Errors: unauthorized (401, or the certificate), forbidden (403), not_found (404),
/// unavailable (refused, 5xx), protocol (another answer than 101), timeout. The text holds the first bytes of
/// the peer's answer.
[[nodiscard]] awaitable<Result<std::unique_ptr<WebSocket>>> connect_websocket(
    Runtime& runtime, std::string url, HeaderList headers, WebSocketLimits limits, Instant deadline,
    std::shared_ptr<const TlsContext> tls = nullptr);

/// The same over a stream that is there already; `url` says host and target.
[[nodiscard]] awaitable<Result<std::unique_ptr<WebSocket>>> connect_websocket_over(
    Runtime& runtime, std::unique_ptr<ByteStream> stream, std::string url, HeaderList headers,
    WebSocketLimits limits, Instant deadline);

struct OutgoingLimits {
  std::size_t bytes_max = 8 << 20;           // above: everything is dropped and the socket closed with 1013
  std::size_t messages_max = 100'000;        // the same
  std::size_t latest_bytes_max = 512 << 10;  // above: "latest" messages are not queued at all
  std::size_t large_bytes_max = 128 << 20;   // of large messages, which bytes_max does not count
};

/// The byte-bounded queue in front of one socket. push() never blocks; run() is the one writer.
/// The owner spawns run() beside its reading loop and keeps socket and queue alive until run() has returned;
/// run() returns by itself soon after the socket has ended.
class OutgoingQueue {
 public:
  enum class Pushed { queued, replaced, dropped, closed };

  OutgoingQueue(Runtime& runtime, WebSocket& socket, OutgoingLimits limits = {});
  ~OutgoingQueue();
  OutgoingQueue(const OutgoingQueue&) = delete;
  OutgoingQueue& operator=(const OutgoingQueue&) = delete;

  /// A message that must arrive. `closed` if the queue has overflowed or been closed.
  Pushed push(Message message);
  /// A message that must arrive and may be as large as it likes: one always finds room, more of them up to
  /// large_bytes_max. They keep their place among the others.
  Pushed push_large(Message message);
  /// A message of which only the newest of its `key` matters (previews, progress). It takes the place of a
  /// waiting one with the same key, and is dropped when more than latest_bytes_max wait.
  Pushed push_latest(Message message, std::uint64_t key);
  /// What waits is still written, then the socket is closed. Later pushes are refused.
  void close(CloseCode code, std::string reason);

  /// Large messages are counted apart.
  [[nodiscard]] std::size_t bytes_waiting() const { return bytes_; }
  [[nodiscard]] std::size_t large_bytes_waiting() const { return large_bytes_; }
  [[nodiscard]] std::size_t messages_waiting() const { return waiting_.size(); }
  [[nodiscard]] bool overflowed() const { return overflowed_; }

  /// Writes until closed or until the socket fails; closes the socket before it returns.
  [[nodiscard]] awaitable<void> run();

 private:
  struct Entry {
    Message message;
    std::optional<std::uint64_t> key;
    bool large = false;
  };
  Pushed enqueue(Entry entry);
  Pushed overflow();
  awaitable<void> changed();

  WebSocket& socket_;
  OutgoingLimits limits_;
  WaitSlot wake_;
  std::list<Entry> waiting_;  // a deque would take 600 bytes of every idle socket
  std::size_t bytes_ = 0, large_bytes_ = 0;
  bool overflowed_ = false;
  bool closing_ = false;
  bool ended_ = false;
  CloseCode close_code_ = CloseCode::normal;
  std::string close_reason_;
};

}  // namespace atelier::net
