// SPDX-License-Identifier: MIT
#pragma once
// Raw peers over in-memory streams on the virtual clock, and a way to run a coroutine on the real runtime.

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <array>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "net/byte_stream.hpp"
#include "net/http_client.hpp"
#include "net/http_server.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/virtual_runtime.hpp"

namespace atelier::net::test {

/// False when interrupted, closed or cancelled.
inline awaitable<bool> becomes_readable(ByteStream& stream) {
  auto initiate = [&stream](auto handler) {
    stream.async_wait(ByteStream::Wait::readable, ByteStream::WaitHandler(std::move(handler)));
  };
  const auto [error] =
      co_await asio::async_initiate<decltype(as_tuple_awaitable), void(boost::system::error_code)>(
          initiate, as_tuple_awaitable);
  co_return !error;
}

/// The far end of a stream, used by hand: bytes in, bytes out.
class RawPeer {
 public:
  RawPeer(VirtualRuntime& runtime, std::unique_ptr<ByteStream> stream)
      : runtime_(runtime), stream_(std::move(stream)) {}
  /// Sends all, running the other side whenever the pipe is full; stops early when the other side is gone.
  void send(std::string_view bytes) {
    runtime_.run_ready();
    for (int idle = 0; !bytes.empty() && idle < 3;) {
      const Transfer transfer = stream_->try_write({&bytes, 1});
      if (transfer.state == Transfer::State::failed) return;
      bytes.remove_prefix(transfer.bytes);
      idle = transfer.bytes > 0 ? 0 : idle + 1;
      collect();
    }
  }
  /// Everything that has come so far.
  std::string receive() {
    collect();
    return std::exchange(received_, {});
  }
  [[nodiscard]] bool ended() {
    collect();
    return ended_;
  }
  void finish() {
    stream_->shutdown_send();
    runtime_.run_ready();
  }
  void close() {
    stream_->close();
    runtime_.run_ready();
  }
  ByteStream& stream() { return *stream_; }

 private:
  void collect() {
    std::array<char, 4096> buffer;
    for (int idle = 0; idle < 2;) {
      runtime_.run_ready();
      const Transfer transfer = stream_->try_read(buffer);
      if (transfer.state == Transfer::State::done) received_.append(buffer.data(), transfer.bytes);
      if (transfer.state == Transfer::State::end || transfer.state == Transfer::State::failed) ended_ = true;
      idle = transfer.state == Transfer::State::done ? 0 : idle + 1;
    }
  }
  VirtualRuntime& runtime_;
  std::unique_ptr<ByteStream> stream_;
  std::string received_;
  bool ended_ = false;
};

/// A server on the virtual clock, stopped at the end of the test.
struct VirtualServer {
  explicit VirtualServer(Handler handler, ServerLimits limits = {})
      : server(runtime, limits, std::move(handler)) {}
  ~VirtualServer() {
    asio::co_spawn(runtime.executor(), server.stop(runtime.now()), asio::detached);
    runtime.advance(milliseconds{10'000});
  }
  RawPeer connect(MemoryPairOptions options = {}, std::string address = "192.0.2.1") {
    MemoryPair pair = make_memory_pair(runtime.executor(), options);
    operations = pair.operations;
    server.serve(std::move(pair.first), Peer{std::move(address), 1234});
    runtime.run_ready();
    return {runtime, std::move(pair.second)};
  }
  VirtualRuntime runtime;
  HttpServer server;
  std::shared_ptr<const std::size_t> operations;
};

/// Runs `work` to its end on `runtime`; its exception is thrown here.
template <class R>
void run_to_end(R& runtime, awaitable<void> work) {
  bool ended = false;
  std::exception_ptr failure;
  asio::co_spawn(runtime.executor(), std::move(work), [&](std::exception_ptr error) {
    ended = true;
    failure = error;
    if constexpr (std::is_same_v<R, RealRuntime>) runtime.stop();
  });
  if constexpr (std::is_same_v<R, RealRuntime>) {
    runtime.run();
    runtime.context().restart();
  } else {
    for (int i = 0; i < 600 && !ended; ++i) runtime.advance(milliseconds{1000});
  }
  if (failure) std::rethrow_exception(failure);
  if (!ended) throw std::runtime_error("the coroutine did not end");
}

/// A real server on loopback and a client for the time of one test.
struct Loopback {
  explicit Loopback(Handler handler, ServerLimits limits = {}, ListenOptions options = {},
                    std::shared_ptr<const TlsContext> trusted = nullptr)
      : server(runtime, limits, std::move(handler)), client(runtime, {}, std::move(trusted)) {
    auto bound = bind_port("127.0.0.1", 0);
    port = server.listen(std::move(bound.value()), std::move(options)).value();
  }
  [[nodiscard]] Instant soon() const { return runtime.now() + milliseconds{20'000}; }
  /// Runs `work` to its end, then stops the server.
  template <class F>
  void run(F work) {
    auto all = [&]() -> awaitable<void> {
      co_await work();
      static_cast<void>(co_await server.stop(runtime.now() + milliseconds{5000}));
    };
    run_to_end(runtime, all());
  }
  RealRuntime runtime;
  HttpServer server;
  HttpClient client;
  std::uint16_t port = 0;
};

}  // namespace atelier::net::test
