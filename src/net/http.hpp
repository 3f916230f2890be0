// SPDX-License-Identifier: MIT
#pragma once
// HTTP requests and responses as handlers see them, and the small helpers around them. No Beast in here.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "net/byte_stream.hpp"
#include "net/header_list.hpp"
#include "net/kept_bytes.hpp"
#include "net/owned_fd.hpp"
#include "net/websocket.hpp"
#include "runtime/awaitable.hpp"

namespace atelier::net {

/// `other`: any other token. Handlers answer it with 405 where they know the path, else with 404.
enum class Method : std::uint8_t { get, head, post, put, patch, delete_, options, other };
[[nodiscard]] std::string_view to_string(Method method);

/// Bytes that come piece by piece: a request's body, an answer's body at the client.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  /// At least one byte, or 0 at the end. `into` must not be empty.
  /// Errors: bad_request (framing, too slow: the connection ends), timeout, closed, cancelled.
  [[nodiscard]] virtual awaitable<Result<std::size_t>> read(std::span<char> into, Instant deadline) = 0;
};

/// The whole rest of `body`; too_large above `bytes_max` (checked against `expected` before anything is
/// read).
[[nodiscard]] awaitable<Result<std::string>> read_all(BodyReader& body, std::optional<std::uint64_t> expected,
                                                      std::uint64_t bytes_max, Instant deadline);

/// A body that is there already: tests, and handlers called without a connection.
class StringReader final : public BodyReader {
 public:
  explicit StringReader(std::string bytes) : bytes_(std::move(bytes)) {}
  awaitable<Result<std::size_t>> read(std::span<char> into, Instant deadline) override;

 private:
  std::string bytes_;
  std::size_t next_ = 0;
};

struct Request {
  /// HEAD arrives as `get` with is_head set: GET handlers serve it and the server drops the body.
  Method method = Method::get;
  bool is_head = false;
  int version_minor = 1;  // HTTP/1.x
  /// Origin form, raw: "/user/1/api/userdata/a%2Fb.json?overwrite=true". Never percent-decoded (`%2F`
  /// survives).
  std::string target;
  /// Host header, or the authority of an absolute-form target; with the port if one was sent. "" only with
  /// HTTP/1.0.
  std::string host;
  HeaderList headers;
  Peer peer;
  bool secure = false;              // came over TLS
  std::uint64_t listener_mark = 0;  // of the listener that it came through (ListenOptions)
  /// Without a body 0; nothing if the body is chunked.
  std::optional<std::uint64_t> content_length = 0;
  BodyReader* body = nullptr;  // never null inside a handler called by HttpServer

  [[nodiscard]] std::string_view path() const;   // raw, up to '?'
  [[nodiscard]] std::string_view query() const;  // raw, without '?'
  /// First value of a query parameter, decoded.
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;
  /// GET with the headers of a WebSocket handshake (version 13, key).
  [[nodiscard]] bool wants_websocket() const;
  [[nodiscard]] awaitable<Result<std::size_t>> read(std::span<char> into, Instant deadline = kNoDeadline);
  /// Errors as BodyReader::read, and too_large.
  [[nodiscard]] awaitable<Result<std::string>> read_all(std::uint64_t bytes_max,
                                                        Instant deadline = kNoDeadline);
};

/// Shared bytes, whole or a part of them (a range); never copied.
class SharedBody {
 public:
  static constexpr std::size_t kToEnd = std::string_view::npos;
  SharedBody(std::shared_ptr<const std::string> shared,  // NOLINT: meant to convert
             std::size_t from = 0, std::size_t count = kToEnd)
      : bytes_(shared ? std::string_view(*shared).substr(from, count) : ""), owner_(std::move(shared)) {}
  SharedBody(std::shared_ptr<const KeptBytes> kept,  // NOLINT: meant to convert
             std::size_t from = 0, std::size_t count = kToEnd)
      : bytes_(kept ? kept->view().substr(from, count) : ""),
        file_(kept ? kept->file() : -1),
        offset_(from),
        owner_(std::move(kept)) {}

  [[nodiscard]] std::string_view view() const { return bytes_; }
  /// A file that has the same bytes from offset() on; -1: none has.
  [[nodiscard]] int file() const { return file_; }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

 private:
  std::string_view bytes_;
  int file_ = -1;
  std::uint64_t offset_ = 0;
  std::shared_ptr<const void> owner_;
};

/// Bytes of an open regular file (sendfile). The answer breaks off if the file is shorter than promised.
struct FileBody {
  FileBody(OwnedFd file, std::uint64_t from, std::uint64_t count)
      : fd(std::move(file)), offset(from), length(count) {}
  OwnedFd fd;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

/// Called again and again for the next piece; an empty string ends the body, an error breaks the connection
/// off.
using PullStream = std::move_only_function<awaitable<Result<std::string>>()>;
struct StreamBody {
  explicit StreamBody(PullStream pull, std::optional<std::uint64_t> bytes = std::nullopt)
      : next(std::move(pull)), length(bytes) {}
  PullStream next;
  std::optional<std::uint64_t> length;  // nothing: sent chunked
};

using Body = std::variant<std::monostate, std::string, SharedBody, FileBody, StreamBody>;

/// What a handler that accepts a WebSocket gives: runs until the socket is done with; the connection ends
/// with it.
using Upgrade = std::move_only_function<awaitable<void>(std::unique_ptr<WebSocket>)>;

/// The server adds Content-Length or Transfer-Encoding, Connection and (if absent) Date; all else is the
/// handler's.
struct Response {
  Response() = default;
  explicit Response(unsigned code) : status(code) {}
  Response(unsigned code, std::string_view content_type, Body content);

  [[nodiscard]] static Response text(unsigned code, std::string content);
  [[nodiscard]] static Response json(unsigned code, std::string content);
  [[nodiscard]] static Response html(unsigned code, std::string content);
  [[nodiscard]] static Response redirect(unsigned code, std::string_view location);
  /// Answers 101 and calls `run`; 400 or 426 if the request is no valid handshake. `headers` go into the 101.
  [[nodiscard]] static Response websocket(Upgrade run, WebSocketLimits limits = {});

  unsigned status = 200;
  HeaderList headers;
  /// Headers made once for an immutable asset; written before `headers`.
  std::shared_ptr<const HeaderList> shared_headers;
  Body body;
  Upgrade upgrade;
  WebSocketLimits upgrade_limits;
  bool close_connection = false;
};

[[nodiscard]] std::string_view reason_phrase(unsigned status);

/// `%xx` decoded once; nothing if a `%` is not followed by two hex digits. `+` stays.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);
/// Everything but unreserved characters (RFC 3986 2.3) becomes %XX; `keep` names further ones to leave.
[[nodiscard]] std::string percent_encode(std::string_view text, std::string_view keep = "");
/// "a=1&b=%20+" -> decoded pairs in order ('+' is a space, a broken '%' stays as it is); at most 256 pairs.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);
/// "a=1; b=2" of one Cookie header: the value of `name`, raw.
[[nodiscard]] std::optional<std::string_view> cookie(std::string_view header, std::string_view name);
/// By the extension of a file name, lower case or not; "application/octet-stream" if unknown. Text types with
/// charset.
[[nodiscard]] std::string_view content_type_of(std::string_view file_name);
/// IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT".
[[nodiscard]] std::string http_date(std::int64_t unix_seconds);
/// IMF-fixdate only; nothing if it is anything else.
[[nodiscard]] std::optional<std::int64_t> parse_http_date(std::string_view text);

struct Url {
  std::string scheme;      // lower case
  std::string host;        // without brackets
  std::uint16_t port = 0;  // the scheme's own if absent
  std::string target = "/";
  /// "host:port", with brackets for IPv6, without the scheme's own port.
  [[nodiscard]] std::string authority() const;
};
/// http, https, ws, wss only, no user info, no fragment kept. Errors: bad_request.
[[nodiscard]] Result<Url> parse_url(std::string_view text);

}  // namespace atelier::net
