// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only. The framing of a chunked body (RFC 9112 7.1), strict: sizes of at most 15 hex digits,
// chunk extensions of at most 256 bytes, CRLF only. Trailers are refused in requests, skipped in answers.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.hpp"

namespace atelier::net {

class ChunkDecoder {
 public:
  enum class Trailers { refused, skipped };
  explicit ChunkDecoder(Trailers trailers) : trailers_(trailers) {}

  /// Takes framing bytes from the front of `bytes` until data begins, the body ends or no byte is left; gives
  /// how many. Only to be called when data_left() is 0. Errors: bad_request.
  [[nodiscard]] Result<std::size_t> take_framing(std::string_view bytes);
  /// Bytes of data that come next.
  [[nodiscard]] std::uint64_t data_left() const { return left_; }
  void data_taken(std::size_t count);
  [[nodiscard]] bool done() const { return state_ == State::done; }

 private:
  enum class State {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer,
    trailer_lf,
    end_lf,
    done
  };
  Result<void> take(char c);
  Result<void> take_size(char c);
  Result<void> take_trailer(char c);

  Trailers trailers_;
  State state_ = State::size;
  std::uint64_t left_ = 0;
  std::uint64_t size_ = 0;
  std::size_t digits_ = 0;
  std::size_t extension_bytes_ = 0;
  std::size_t trailer_bytes_ = 0;
};

}  // namespace atelier::net
