// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "net/byte_stream.hpp"
#include "net/resolve_error.hpp"
#include "net_test_support.hpp"

using namespace atelier;       // NOLINT: tests
using namespace atelier::net;  // NOLINT: tests
using boost::system::error_code;
using Wait = ByteStream::Wait;
using State = Transfer::State;

namespace {

/// A listener with the shortest queue, and where it is.
OwnedFd listen_on(sockaddr_in& address) {
  OwnedFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(listener.get(), any, length) == 0);
  REQUIRE(::listen(listener.get(), 0) == 0);
  REQUIRE(::getsockname(listener.get(), any, &length) == 0);
  return listener;
}

/// A stream over a real socket, and the plain socket at its other end.
struct Rig {
  Rig() {
    sockaddr_in address{};
    const OwnedFd listener = listen_on(address);
    peer.reset(::socket(AF_INET, SOCK_STREAM, 0));
    REQUIRE(::connect(peer.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    stream = make_tcp_stream(context.get_executor(),
                             OwnedFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK)));
  }

  void wait(Wait what) {
    error.reset();
    stream->async_wait(what, [this](error_code e) { error = e; });
  }
  /// Runs until nothing is left to do: a wait that is not over would make it time out.
  void run() {
    context.restart();
    context.run_for(std::chrono::seconds(20));
    REQUIRE(context.stopped());
  }
  /// Runs what is ready.
  void poll() {
    context.restart();
    context.poll();
  }
  /// Waits for what is not so now, as every user does: a wait may end for what an earlier read or write has
  /// used up, but not again and again.
  void wait_in_vain(Wait what) {
    for (int i = 0; i < 3; ++i) {
      if (what == Wait::readable) {
        REQUIRE(read().state == State::would_block);
      } else {
        fill();
      }
      wait(what);
      poll();
      if (!error) return;
    }
    FAIL("the wait ends though nothing is there");
  }
  bool becomes(Wait what) {
    wait(what);
    CHECK_FALSE(error);  // never from inside
    run();
    return error && !*error;
  }
  Transfer read(std::size_t most = 100) { return stream->try_read(std::span(buffer).first(most)); }
  void say(std::string_view bytes) {
    REQUIRE(::send(peer.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  }
  void reset_peer() {
    const linger at_once{1, 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    peer.reset();
  }
  void fill() {
    const std::string_view bytes(buffer.data(), buffer.size());
    while (stream->try_write({&bytes, 1}).state == State::done) continue;
  }
  void empty() {
    while (::recv(peer.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) continue;
  }

  asio::io_context context;
  OwnedFd peer;
  std::unique_ptr<ByteStream> stream;
  std::optional<error_code> error;
  std::array<char, 64 << 10> buffer{};
};

}  // namespace

TEST_CASE("a wait ends for what is there and what comes, and stays for what was left") {
  Rig rig;
  rig.say("abc");
  CHECK(rig.becomes(Wait::readable));
  CHECK(rig.becomes(Wait::readable));  // nobody has read
  CHECK(rig.read(1).bytes == 1);
  CHECK(rig.becomes(Wait::readable));
  CHECK(rig.read().bytes == 2);
  rig.wait_in_vain(Wait::readable);
  for (int i = 0; i < 3; ++i) {
    rig.say("d");
    rig.run();
    CHECK(rig.error == error_code());
    CHECK(rig.read().bytes == 1);
    const std::string_view answer = "answer";
    CHECK(rig.stream->try_write({&answer, 1}).bytes == answer.size());
    rig.wait(Wait::readable);  // at once without an end in vain: that is what an answer costs
    rig.poll();
    CHECK_FALSE(rig.error);
  }
  rig.stream->interrupt();
  rig.run();
}

TEST_CASE("a wait ends for the peer's end, also if that came with the last bytes") {
  Rig rig;
  rig.say("abc");
  ::shutdown(rig.peer.get(), SHUT_WR);
  CHECK(rig.becomes(Wait::readable));
  CHECK(rig.read().bytes == 3);
  CHECK(rig.becomes(Wait::readable));
  CHECK(rig.read().state == State::end);
  CHECK(rig.becomes(Wait::readable));
  CHECK(rig.becomes(Wait::writable));
}

TEST_CASE("a wait ends for a reset that came with the last bytes") {
  Rig rig;
  rig.wait_in_vain(Wait::readable);
  rig.say("abc");
  rig.reset_peer();
  rig.run();
  CHECK(rig.read().bytes == 3);
  CHECK(rig.becomes(Wait::readable));
  CHECK(rig.read().state == State::failed);
}

TEST_CASE("a connect that nobody answers ends with its deadline, not before") {
  VirtualRuntime runtime;
  sockaddr_in address{};
  const OwnedFd listener = listen_on(address);
  std::vector<OwnedFd> fillers;  // of the queue of a listener that takes nobody
  for (int i = 0; i < 4; ++i) {
    fillers.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    ::connect(fillers.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  const auto try_it = [&]() -> awaitable<void> {
    const auto stream = co_await connect_tcp(runtime, "127.0.0.1", ntohs(address.sin_port),
                                             runtime.now() + milliseconds{5'000});
    REQUIRE(!stream.has_value());
    CHECK(stream.error().code == Errc::timeout);
    CHECK(runtime.now() >= Instant{5'000});
  };
  test::run_to_end(runtime, try_it());
}

TEST_CASE("a wait ends for a reset") {
  for (const Wait what : {Wait::readable, Wait::writable}) {
    Rig rig;
    rig.wait_in_vain(what);
    rig.reset_peer();
    rig.run();
    CHECK(rig.error == error_code());
    CHECK(rig.read().state == State::failed);
  }
}

TEST_CASE("a wait for room ends when the peer has taken something") {
  Rig rig;
  CHECK(rig.becomes(Wait::writable));
  CHECK(rig.becomes(Wait::writable));
  for (int i = 0; i < 3; ++i) {
    rig.wait_in_vain(Wait::writable);
    rig.empty();
    rig.run();
    CHECK(rig.error == error_code());
  }
}

TEST_CASE("an interrupt ends the waits, and the stream can be waited for again") {
  Rig rig;
  rig.wait_in_vain(Wait::readable);
  rig.stream->interrupt();
  CHECK_FALSE(rig.error);
  rig.run();
  CHECK(rig.error == asio::error::operation_aborted);

  SUBCASE("what came while nobody waited") {
    CHECK(rig.read().state == State::would_block);
    rig.say("a");
    rig.poll();
    CHECK(rig.becomes(Wait::readable));
  }
  SUBCASE("at once") {
    CHECK(rig.read().state == State::would_block);
    rig.wait(Wait::readable);
    rig.stream->interrupt();
    CHECK(rig.read().state == State::would_block);
    std::optional<error_code> second;
    rig.stream->async_wait(Wait::readable, [&](error_code e) { second = e; });
    rig.poll();
    CHECK(rig.error == asio::error::operation_aborted);
    CHECK_FALSE(second);
    rig.say("a");
    rig.run();
    CHECK(second == error_code());
  }
  SUBCASE("both directions") {
    rig.wait_in_vain(Wait::writable);
    rig.stream->interrupt();
    rig.poll();
    CHECK(rig.read().state == State::would_block);
    std::optional<error_code> room;
    rig.stream->async_wait(Wait::writable, [&](error_code e) { room = e; });
    rig.wait(Wait::readable);
    rig.poll();
    CHECK_FALSE(rig.error);
    CHECK_FALSE(room);
    rig.say("a");
    rig.poll();
    CHECK(rig.error == error_code());
    CHECK_FALSE(room);
    rig.empty();
    rig.run();
    CHECK(room == error_code());
  }
}

TEST_CASE("an interrupt also ends a wait whose end is on its way") {
  Rig rig;
  rig.wait(Wait::readable);  // nothing was read yet: it would end at once
  rig.stream->interrupt();
  rig.run();
  CHECK(rig.error == asio::error::operation_aborted);
}

TEST_CASE("a wait is aborted by its slot, a close, a destructor, and after a close") {
  Rig rig;
  asio::cancellation_signal signal;
  CHECK(rig.read().state == State::would_block);
  rig.error.reset();
  auto note = [&rig](error_code e) { rig.error = e; };
  rig.stream->async_wait(Wait::readable, asio::bind_cancellation_slot(signal.slot(), note));
  signal.emit(asio::cancellation_type::terminal);
  rig.poll();
  CHECK(rig.error == asio::error::operation_aborted);
  CHECK(rig.read().state == State::would_block);
  rig.wait(Wait::readable);
  rig.say("a");
  rig.run();
  CHECK(rig.error == error_code());
  CHECK(rig.read().bytes == 1);

  rig.wait(Wait::readable);
  SUBCASE("close") {
    rig.stream->close();
    CHECK_FALSE(rig.stream->is_open());
    rig.run();
    CHECK(rig.error == asio::error::operation_aborted);
    rig.wait(Wait::readable);
    CHECK_FALSE(rig.error);
    rig.run();
  }
  SUBCASE("destructor") {
    rig.stream.reset();
    rig.run();
  }
  SUBCASE("destructor, with an event on its way") {
    rig.say("b");
    rig.stream.reset();
    rig.run();
  }
  CHECK(rig.error == asio::error::operation_aborted);
}

TEST_CASE("the one who waited may destroy the stream") {
  Rig rig;
  CHECK(rig.read().state == State::would_block);
  bool called = false;
  rig.stream->async_wait(Wait::readable, [&](error_code) {
    called = true;
    rig.stream.reset();
  });
  rig.say("a");
  rig.run();
  CHECK(called);
}

TEST_CASE("a wait that owns its stream ends with the context") {
  std::weak_ptr<ByteStream> left;
  {
    Rig rig;
    rig.wait_in_vain(Wait::readable);
    rig.stream->interrupt();
    rig.run();
    const std::shared_ptr<ByteStream> owned = std::move(rig.stream);
    left = owned;
    CHECK(owned->try_read(rig.buffer).state == State::would_block);
    owned->async_wait(Wait::readable, [owned](error_code) {});
    rig.poll();
  }
  CHECK(left.expired());
}

TEST_CASE("a stream and its wait may end with the context") {
  auto rig = std::make_unique<Rig>();
  CHECK(rig->read().state == State::would_block);
  rig->wait(Wait::readable);
  rig->poll();
  rig->stream->interrupt();
  rig->wait(Wait::readable);
  rig.reset();
}

TEST_CASE("a name that cannot be looked up now is not one that does not exist") {
  CHECK(resolve_error("gateway", EAI_NONAME).code == Errc::not_found);
  for (const int now : {EAI_AGAIN, EAI_FAIL, EAI_SYSTEM, EAI_MEMORY, EAI_NODATA}) {
    CAPTURE(now);
    const Error error = resolve_error("gateway", now);
    CHECK(error.code == Errc::unavailable);
    CHECK(error.what.starts_with("cannot resolve gateway: "));
  }
}
