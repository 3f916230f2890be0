// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only. Finds the end of an HTTP head in what has come so far, and parses a whole head with
// Beast's basic_parser and the stricter rules of reliability.md 48-53 around it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.hpp"

namespace atelier::net {

/// What is wrong with a head, and how it is answered.
struct HeadError {
  unsigned status;
  std::string text;
};

struct HeadLimits {
  std::size_t bytes_max = 32 << 10;
  std::size_t headers_max = 100;
  std::size_t target_bytes_max = 8 << 10;
};

/// Looks for the empty line, and on the way refuses bare LF, folded lines and too much of anything. Remembers
/// how far it came, so that a dripping head is not read again and again.
class HeadScanner {
 public:
  enum class Verdict { incomplete, complete, refused };
  explicit HeadScanner(HeadLimits limits) : limits_(limits) {}
  /// `bytes` = everything since the last head or body ended.
  [[nodiscard]] Verdict scan(std::string_view bytes);
  /// With `complete`: the head without blank lines before it, with the blank line after it.
  [[nodiscard]] std::string_view head(std::string_view bytes) const {
    return bytes.substr(skipped_, end_ - skipped_);
  }
  [[nodiscard]] std::size_t end() const { return end_; }
  /// With `refused`.
  [[nodiscard]] const HeadError& error() const { return *error_; }

 private:
  Verdict refuse(unsigned status, std::string_view text);
  HeadLimits limits_;
  std::size_t scanned_ = 0, line_ = 0, skipped_ = 0, lines_ = 0, end_ = 0;
  std::optional<HeadError> error_;
};

/// How a body ends.
struct Framing {
  enum class Kind { none, length, chunked, until_close };
  Kind kind = Kind::none;
  std::uint64_t length = 0;
};

struct RequestHead {
  Framing framing;
  bool keep_alive = true;
  bool expects_continue = false;
};

/// Fills `request` (but peer, secure, body) from a whole head.
[[nodiscard]] std::optional<HeadError> parse_request_head(std::string_view bytes, const HeadLimits& limits,
                                                          Request& request, RequestHead& head);

struct ResponseHead {
  unsigned status = 0;
  HeaderList headers;
  Framing framing;  // as if the request was no HEAD
  bool keep_alive = true;
};
[[nodiscard]] Result<ResponseHead> parse_response_head(std::string_view bytes, const HeadLimits& limits);

}  // namespace atelier::net
