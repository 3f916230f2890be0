// SPDX-License-Identifier: MIT
// HTTP/1 heads and chunked bodies: two choice bytes (cuts; limits and server), then the bytes of a
// connection. Whatever comes whole and in pieces is judged alike, by the scanner, the chunk decoder and the
// whole server.

#include <algorithm>
#include <string>

#include "fuzz.hpp"
#include "net/chunk_decoder.hpp"
#include "net/http_head.hpp"
#include "unit/net/net_test_support.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests
using fuzz::expect;
using Verdict = HeadScanner::Verdict;

namespace {

// What a run of the whole server gets: each piece costs some system calls.
constexpr std::size_t kServedBytesMax = 400, kFew = 40;

struct Scan {
  Verdict verdict = Verdict::incomplete;
  unsigned status = 0;
  std::string head;
  std::size_t end = 0;
  bool operator==(const Scan&) const = default;
};

/// Scans `bytes` as they grow, piece by piece.
template <class NextPiece>
Scan scan(std::string_view bytes, const HeadLimits& limits, NextPiece next) {
  HeadScanner scanner(limits);
  Scan out;
  for (std::size_t come = 0; come < bytes.size() && out.verdict == Verdict::incomplete;) {
    come += next(bytes.size() - come);
    const std::string_view seen = bytes.substr(0, come);
    out.verdict = scanner.scan(seen);
    if (out.verdict == Verdict::refused) out.status = scanner.error().status;
    if (out.verdict != Verdict::complete) continue;
    out.head = scanner.head(seen);
    out.end = scanner.end();
  }
  return out;
}

std::size_t lines_named(std::string_view head, std::string_view name) {
  std::size_t count = 0;
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    if (equal_without_case(head.substr(0, head.substr(0, end).find(':')), name)) ++count;
    head.remove_prefix(std::min(end + 2, head.size()));
  }
  return count;
}

bool plain(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return (c >= 0x20 || c == '\t') && c != 0x7f; });
}

void check_request(std::string_view bytes, const HeadLimits& limits) {
  Request request;
  RequestHead head;
  if (const auto error = parse_request_head(bytes, limits, request, head)) {
    expect(error->status >= 400 && error->status < 600, "a refusal has a status");
    return;
  }
  const std::size_t lengths = lines_named(bytes, "Content-Length");
  const std::size_t codings = lines_named(bytes, "Transfer-Encoding");
  expect(lengths + codings <= 1, "the length of a body is said once");
  expect((head.framing.kind == Framing::Kind::chunked) == (codings == 1), "a coding means chunks");
  expect(head.framing.kind != Framing::Kind::until_close, "a request does not end with the connection");
  expect(head.framing.length < 1'000'000'000'000'000'000, "a length is bounded");
  expect(lines_named(bytes, "Host") == 1 || request.version_minor == 0, "a request names one host");
  expect(request.target.starts_with('/') || request.target == "*", "a target is a path");
  expect(plain(request.target) && request.target.find(' ') == std::string::npos, "a target is one word");
  expect(request.target.size() <= limits.target_bytes_max + 1, "a target is bounded");
  expect(plain(request.host), "a host has no control characters");
  std::string again = std::string(to_string(request.method)) + " " + request.target + " HTTP/1." +
                      std::to_string(request.version_minor) + "\r\n";
  for (const auto field : request.headers) {
    expect(!field.name.empty() && plain(field.name) && field.name.find_first_of(": \t") == std::string::npos,
           "a header's name is a token");
    expect(plain(field.value), "a header's value has no control characters");
    again += std::string(field.name) + ": " + std::string(field.value) + "\r\n";
  }
  again += "\r\n";
  Request same;
  RequestHead same_head;
  expect(!parse_request_head(again, {}, same, same_head), "a head that is printed is taken again");
  expect(same.target == request.target && same.method == request.method &&
             same_head.framing.kind == head.framing.kind && same_head.framing.length == head.framing.length &&
             same_head.keep_alive == head.keep_alive,
         "and means the same");
}

void check_response(std::string_view bytes, const HeadLimits& limits) {
  const auto head = parse_response_head(bytes, limits);
  if (!head) return;
  expect(head->status >= 100 && head->status <= 999, "a status has three digits");
  expect(lines_named(bytes, "Content-Length") + lines_named(bytes, "Transfer-Encoding") <= 1,
         "the length of an answer is said once");
}

struct Chunks {
  std::string data;
  bool done = false, broken = false;
  std::size_t used = 0;
  bool operator==(const Chunks&) const = default;
};

template <class NextPiece>
Chunks decode(std::string_view bytes, ChunkDecoder::Trailers trailers, NextPiece next) {
  ChunkDecoder decoder(trailers);
  Chunks out;
  while (!bytes.empty() && !decoder.done()) {
    std::string_view piece = bytes.substr(0, next(bytes.size()));
    bytes.remove_prefix(piece.size());
    while (!piece.empty() && !decoder.done()) {
      std::size_t count = 0;
      if (decoder.data_left() > 0) {
        count = static_cast<std::size_t>(std::min<std::uint64_t>(decoder.data_left(), piece.size()));
        out.data += piece.substr(0, count);
        decoder.data_taken(count);
      } else {
        const auto taken = decoder.take_framing(piece);
        if (!taken) {
          out.broken = true;
          out.used = 0;
          return out;
        }
        expect(*taken > 0 && *taken <= piece.size(), "framing is taken from what is there");
        count = *taken;
      }
      out.used += count;
      piece.remove_prefix(count);
    }
  }
  out.done = decoder.done();
  return out;
}

/// What the server answers to these bytes.
template <class NextPiece>
std::string serve(std::string_view bytes, NextPiece next) {
  auto handler = [](Request& request) -> awaitable<Response> {
    const auto body = co_await request.read_all(1 << 12);
    std::string text = std::string(to_string(request.method)) + " " + request.target + " ";
    text += body ? *body : std::string(to_string(body.error().code));
    co_return Response::text(200, std::move(text));
  };
  net::test::VirtualServer server(handler);
  net::test::RawPeer peer = server.connect();
  while (!bytes.empty()) {
    const std::size_t count = next(bytes.size());
    peer.send(bytes.substr(0, count));
    bytes.remove_prefix(count);
  }
  peer.finish();
  std::string answers = peer.receive();
  for (int i = 0; i < 7 && server.server.counters().connections_open > 0; ++i) {
    server.runtime.advance(milliseconds{10'000});
  }
  answers += peer.receive();
  expect(server.server.counters().connections_open == 0, "a connection whose peer is done ends in time");
  // Told only to a peer whose body has not begun to come.
  constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  for (std::size_t at = 0; (at = answers.find(kContinue, at)) != std::string::npos;) {
    answers.erase(at, kContinue.size());
  }
  return answers;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = fuzz::text_of(data, size);
  const unsigned seed = fuzz::take_choice(bytes);
  const unsigned options = fuzz::take_choice(bytes);
  HeadLimits limits;
  if (options % 2 != 0) limits = {.bytes_max = 200, .headers_max = 3, .target_bytes_max = 20};
  const auto whole = [](std::size_t left) { return left; };

  const Scan scanned = scan(bytes, limits, whole);
  expect(scanned == scan(bytes, limits,
                         [cuts = fuzz::Cuts(seed)](std::size_t left) mutable { return cuts.next(left); }),
         "a head is judged alike for every split");
  if (scanned.verdict == Verdict::complete) {
    expect(scanned.head.ends_with("\r\n\r\n") && scanned.end <= bytes.size(),
           "a head ends with a blank line");
    check_request(scanned.head, limits);
    check_response(scanned.head, limits);
  }
  const std::string_view body = bytes.substr(scanned.end);
  for (const auto trailers : {ChunkDecoder::Trailers::refused, ChunkDecoder::Trailers::skipped}) {
    expect(decode(body, trailers, whole) ==
               decode(body, trailers,
                      [cuts = fuzz::Cuts(seed)](std::size_t left) mutable { return cuts.next(left); }),
           "chunks are decoded alike for every split");
  }
  if ((options & 2) != 0 && bytes.size() <= kServedBytesMax) {
    const std::string one = serve(bytes, whole);
    const std::string other =
        serve(bytes, [cuts = fuzz::Cuts(seed, kFew)](std::size_t left) mutable { return cuts.next(left); });
    // A peer that waits for "100 Continue" gets another end of the connection than one that does not wait: it
    // matters whether its body has begun to come.
    const bool may_wait = bytes.find("100-") != std::string_view::npos;
    expect(may_wait || one == other, "the server answers alike for every split");
  }
  return 0;
}
