// SPDX-License-Identifier: MIT
// A WebSocket server that echoes: a choice byte (cuts), then the bytes that a client sends after its
// handshake. What comes back is compared with what a small reader of RFC 6455 expects.

#include <string>
#include <vector>

#include "files/safe_path.hpp"
#include "fuzz.hpp"
#include "net/http.hpp"
#include "unit/net/net_test_support.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests
using fuzz::expect;

namespace {

constexpr std::size_t kMessageBytesMax = 600;
constexpr std::size_t kFew = 40;  // bytes of a piece: each costs some system calls
constexpr std::string_view kHandshake =
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

enum Opcode : unsigned { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct WireFrame {
  bool fin = false, masked = false;
  unsigned reserved = 0, opcode = 0;
  std::uint64_t length = 0;  // as declared
  bool long_form = false;    // in more bytes than needed
  bool whole = false;        // `payload` is all of it
  std::string payload;       // as far as it has come, without its mask
};

/// Takes one frame; nothing if not even its head is there.
std::optional<WireFrame> take_frame(std::string_view& bytes) {
  if (bytes.size() < 2) return std::nullopt;
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
  };
  WireFrame frame;
  frame.fin = (byte(0) & 0x80U) != 0;
  frame.reserved = byte(0) >> 4 & 7U;
  frame.opcode = byte(0) & 15U;
  frame.masked = (byte(1) & 0x80U) != 0;
  frame.length = byte(1) & 0x7fU;
  const std::size_t extra = frame.length == 126 ? 2 : frame.length == 127 ? 8 : 0;
  const std::size_t head = 2 + extra + (frame.masked ? 4 : 0);
  if (bytes.size() < head) return std::nullopt;
  if (extra > 0) frame.length = 0;
  for (std::size_t i = 0; i < extra; ++i) frame.length = frame.length << 8 | byte(2 + i);
  frame.long_form = (extra == 2 && frame.length < 126) || (extra == 8 && frame.length < 65536);
  frame.payload = bytes.substr(head, std::min<std::uint64_t>(frame.length, bytes.size()));
  frame.whole = frame.payload.size() == frame.length;
  for (std::size_t i = 0; frame.masked && i < frame.payload.size(); ++i) {
    frame.payload[i] =
        static_cast<char>(static_cast<unsigned char>(frame.payload[i]) ^ byte(2 + extra + i % 4));
  }
  bytes.remove_prefix(head + frame.payload.size());
  return frame;
}

/// RFC 6455 7.4 says nothing of codes from 5000 on; Beast takes them and says them back.
bool may_close_with(unsigned code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || code >= 3000;
}

struct Echo {
  bool text = false;
  std::string payload;
  bool operator==(const Echo&) const = default;
};

/// What a client's bytes must lead to.
struct Expected {
  std::vector<Echo> messages;
  std::vector<std::string> pings;
  bool broken = false;         // the peer broke the rules: 1002, 1007 or 1009
  bool may_be_broken = false;  // only a part of the wrong bytes has come
  bool closed = false;
};

bool broken_head(const WireFrame& frame, bool inside_message) {
  if (frame.reserved != 0 || !frame.masked || frame.long_form) return true;
  if (frame.opcode >= kClose) return frame.opcode > kPong || !frame.fin || frame.length > 125;
  return frame.opcode > kBinary || (frame.opcode == kContinuation) != inside_message;
}

bool good_close(std::string_view payload) {
  if (payload.empty()) return true;
  if (payload.size() == 1) return false;
  const unsigned code =
      static_cast<unsigned char>(payload[0]) * 256U + static_cast<unsigned char>(payload[1]);
  return may_close_with(code) && files::is_utf8(payload.substr(2));
}

Expected expected_of(std::string_view bytes) {
  Expected out;
  std::optional<Echo> message;
  while (true) {
    const std::string_view head = bytes;
    const auto frame = take_frame(bytes);
    if (!frame) {
      out.may_be_broken = out.may_be_broken || !head.empty();
      return out;
    }
    out.broken = broken_head(*frame, message.has_value());
    if (out.broken) return out;
    if (frame->opcode >= kClose) {
      if (!frame->whole) return out;
      if (frame->opcode == kPing) out.pings.push_back(frame->payload);
      if (frame->opcode != kClose) continue;
      out.broken = !good_close(frame->payload);
      out.closed = !out.broken;
      return out;
    }
    if (!message) message = Echo{frame->opcode == kText, {}};
    out.broken = frame->length > kMessageBytesMax - message->payload.size();
    if (out.broken) return out;
    message->payload += frame->payload;
    // Bad UTF-8 may be told as soon as it is seen, or at the end of the message.
    const bool good = !message->text || files::is_utf8(message->payload);
    out.may_be_broken = out.may_be_broken || !good;
    if (!frame->whole) return out;
    if (!frame->fin) continue;
    out.broken = !good;
    if (out.broken) return out;
    out.messages.push_back(std::move(*message));
    message.reset();
  }
}

/// What the server sent.
struct Answer {
  std::vector<Echo> messages;
  std::vector<std::string> pongs;
  std::optional<unsigned> close_code;  // 0: a close frame without a code
};

Answer read_answer(std::string_view bytes) {
  Answer out;
  while (!bytes.empty()) {
    const auto frame = take_frame(bytes);
    expect(frame && frame->whole && frame->fin, "the server sends whole frames");
    expect(frame->reserved == 0 && !frame->masked && !frame->long_form, "the server's frames are right");
    expect(!out.close_code, "nothing follows a close frame");
    switch (frame->opcode) {
      case kText:
      case kBinary:
        out.messages.push_back({frame->opcode == kText, frame->payload});
        break;
      case kPong:
        out.pongs.push_back(frame->payload);
        break;
      case kClose:
        expect(good_close(frame->payload), "the server's close frame is right");
        out.close_code = frame->payload.empty() ? 0U
                                                : static_cast<unsigned char>(frame->payload[0]) * 256U +
                                                      static_cast<unsigned char>(frame->payload[1]);
        break;
      default:
        expect(frame->opcode == kPing, "the server sends no other frames");
    }
  }
  return out;
}

std::string run_server(std::string_view bytes, unsigned seed) {
  WebSocketLimits limits;
  limits.message_bytes_max = kMessageBytesMax;
  auto handler = [limits](Request&) -> awaitable<Response> {
    auto run = [](std::unique_ptr<WebSocket> socket) -> awaitable<void> {
      while (true) {
        auto message = co_await socket->read(kNoDeadline);
        if (!message || !co_await socket->write(std::move(*message), kNoDeadline)) co_return;
      }
    };
    co_return Response::websocket(std::move(run), limits);
  };
  net::test::VirtualServer server(handler);
  net::test::RawPeer peer = server.connect();
  peer.send(kHandshake);
  std::string answer = peer.receive();
  expect(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "the handshake is answered");
  answer.clear();
  for (fuzz::Cuts cuts(seed, kFew); !bytes.empty();) peer.send(cuts.take(bytes));
  answer += peer.receive();
  peer.finish();
  server.runtime.advance(milliseconds{10'000});
  answer += peer.receive();
  expect(peer.ended() && server.server.counters().connections_open == 0, "the connection ends in time");
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes = fuzz::text_of(data, size);
  const unsigned seed = fuzz::take_choice(bytes);
  const Expected expected = expected_of(bytes);
  const Answer answer = read_answer(run_server(bytes, seed));
  expect(answer.messages == expected.messages, "every whole message is echoed");
  expect(answer.pongs.size() <= expected.pings.size(), "no pong without a ping");
  if (expected.broken) {
    expect(answer.close_code == 1002U || answer.close_code == 1007U || answer.close_code == 1009U,
           "a broken protocol is answered with 1002, 1007 or 1009");
  } else if (expected.closed) {
    expect(answer.close_code.has_value(), "a close frame is answered");
  } else if (!expected.may_be_broken) {
    expect(!answer.close_code, "nobody is sent away without a reason");
  }
  return 0;
}
