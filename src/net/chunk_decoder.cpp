// SPDX-License-Identifier: MIT
#include "net/chunk_decoder.hpp"

namespace atelier::net {
namespace {

constexpr std::size_t kSizeDigitsMax = 15;
constexpr std::size_t kExtensionBytesMax = 256;
constexpr std::size_t kTrailerBytesMax = 8 << 10;

std::unexpected<Error> bad(std::string_view why) {
  return fail(Errc::bad_request, "bad chunked body: " + std::string(why));
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<std::size_t> ChunkDecoder::take_framing(std::string_view bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size() && state_ != State::data && state_ != State::done) {
    ATELIER_TRY_VOID(take(bytes[taken++]));
  }
  return taken;
}

void ChunkDecoder::data_taken(std::size_t count) {
  left_ -= count;
  if (left_ == 0) state_ = State::data_cr;
}

Result<void> ChunkDecoder::take(char c) {
  switch (state_) {
    case State::size:
      return take_size(c);
    case State::extension:
      if (c == '\r') {
        state_ = State::size_lf;
      } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') ||
                 ++extension_bytes_ > kExtensionBytesMax) {
        return bad("a chunk extension that is too long or has control characters");
      }
      return {};
    case State::size_lf:
      if (c != '\n') return bad("a size line without LF");
      left_ = size_;
      state_ = size_ > 0 ? State::data : State::trailer_start;
      size_ = digits_ = 0;
      return {};
    case State::data_cr:
      if (c != '\r') return bad("a chunk longer than its size");
      state_ = State::data_lf;
      return {};
    case State::data_lf:
      if (c != '\n') return bad("a chunk without LF");
      state_ = State::size;
      extension_bytes_ = 0;
      return {};
    case State::trailer_start:
    case State::trailer:
    case State::trailer_lf:
    case State::end_lf:
      return take_trailer(c);
    case State::data:
    case State::done:
      return {};
  }
  return {};
}

Result<void> ChunkDecoder::take_size(char c) {
  if (const int digit = hex_digit(c); digit >= 0) {
    if (++digits_ > kSizeDigitsMax) return bad("a chunk size that is too long");
    size_ = size_ * 16 + static_cast<std::uint64_t>(digit);
    return {};
  }
  if (digits_ == 0) return bad("a chunk size without digits");
  if (c == '\r') {
    state_ = State::size_lf;
  } else if (c == ';' || c == ' ' || c == '\t') {
    state_ = State::extension;
  } else {
    return bad("a chunk size that is no number");
  }
  return {};
}

Result<void> ChunkDecoder::take_trailer(char c) {
  switch (state_) {
    case State::trailer_start:
      if (c == '\r') {
        state_ = State::end_lf;
        return {};
      }
      if (trailers_ == Trailers::refused) return bad("trailers are not taken");
      if (c == '\n') return bad("a bare LF");
      state_ = State::trailer;
      return {};
    case State::trailer:
      if (++trailer_bytes_ > kTrailerBytesMax) return bad("trailers that are too long");
      if (c == '\r') state_ = State::trailer_lf;
      return {};
    case State::trailer_lf:
      if (c != '\n') return bad("a trailer without LF");
      state_ = State::trailer_start;
      return {};
    default:
      if (c != '\n') return bad("an end without LF");
      state_ = State::done;
      return {};
  }
}

}  // namespace atelier::net
