// SPDX-License-Identifier: MIT
#include "net/http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include <cerrno>
#include <cstring>
#include <list>
#include <map>

#include "base/log.hpp"
#include "net/server_connection.hpp"
#include "runtime/signal.hpp"
#include "runtime/task_group.hpp"

namespace atelier::net {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerTurn = 64;
constexpr milliseconds kAcceptPause{100};  // without free descriptors

using Descriptor = asio::posix::basic_stream_descriptor<Executor>;

struct Listener {
  Listener(Executor executor, OwnedFd socket, ListenOptions o)
      : descriptor(executor, socket.release()), options(std::move(o)) {}
  [[nodiscard]] std::unique_ptr<ByteStream> secured(std::unique_ptr<ByteStream> stream) const {
    switch (options.security) {
      case ListenOptions::Security::plain:
        return stream;
      case ListenOptions::Security::tls:
        return make_tls_server_stream(std::move(stream), *options.tls);
      case ListenOptions::Security::either:
        return make_tls_or_plain_server_stream(std::move(stream), options.tls);
    }
    return stream;
  }
  Descriptor descriptor;
  ListenOptions options;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

Result<SocketAddress> to_address(std::string_view text, std::uint16_t port) {
  const std::string address = text == "localhost" ? "127.0.0.1" : std::string(text);
  SocketAddress out;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.length = sizeof *v4;
  } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.length = sizeof *v6;
  } else {
    return fail(Errc::config,
                fmt::format("\"{}\" is not an address to listen on (an IP address or localhost)", text));
  }
  return out;
}

Peer to_peer(const sockaddr_storage& storage) {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return {text, ntohs(v4->sin_port)};
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
  ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  const std::string_view view = text;
  return {std::string(view.starts_with("::ffff:") ? view.substr(7) : view), ntohs(v6->sin6_port)};
}

bool is_loopback(std::string_view address) { return address.starts_with("127.") || address == "::1"; }

Error listen_error(int error, std::string_view address, std::uint16_t port) {
  const auto name = fmt::format("port {} on {}", port, address);
  switch (error) {
    case EADDRINUSE:
      return {Errc::config, name + " is in use by another program"};
    case EACCES:
      return {Errc::config, name + " may not be used: ports below 1024 need more rights"};
    case EADDRNOTAVAIL:
      return {Errc::config, fmt::format("{} is not an address of this machine", address)};
    default:
      return {Errc::config, fmt::format("cannot listen on {}: {}", name, std::strerror(error))};
  }
}

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
  Impl(Runtime& runtime, ServerLimits limits, Handler handler)
      : shared(runtime, limits, std::move(handler)),
        ended(runtime),
        connections_group(runtime),
        listeners_group(runtime) {}

  void serve(std::unique_ptr<ByteStream> stream, Peer peer, std::uint64_t mark);
  bool admits(const Peer& peer) const;
  void accept_some(Listener& listener, bool& pause);
  static awaitable<void> accept_loop(std::shared_ptr<Impl> self, std::shared_ptr<Listener> listener);
  static awaitable<void> run_connection(std::shared_ptr<Impl> self,
                                        std::unique_ptr<ServerConnection> connection, std::string address);
  void close_listeners();

  ServerShared shared;
  Signal ended;
  TaskGroup connections_group;
  TaskGroup listeners_group;
  std::list<std::shared_ptr<Listener>> listeners;
  std::list<ServerConnection*> connections;
  std::map<std::string, std::size_t, std::less<>> per_address;
};

bool HttpServer::Impl::admits(const Peer& peer) const {
  if (shared.stopping || connections.size() >= shared.limits.connections_max) return false;
  if (shared.limits.connections_per_address_max == 0 || is_loopback(peer.address)) return true;
  const auto found = per_address.find(peer.address);
  return found == per_address.end() || found->second < shared.limits.connections_per_address_max;
}

void HttpServer::Impl::serve(std::unique_ptr<ByteStream> stream, Peer peer, std::uint64_t mark) {
  ++shared.counters.connections;
  if (!admits(peer)) {
    ++shared.counters.connections_refused;
    stream->close();
    return;
  }
  std::string address = peer.address;
  ++per_address[address];
  auto connection = std::make_unique<ServerConnection>(shared, std::move(stream), std::move(peer), mark);
  connections_group.spawn("http connection",
                          run_connection(shared_from_this(), std::move(connection), std::move(address)));
}

awaitable<void> HttpServer::Impl::run_connection(std::shared_ptr<Impl> self,
                                                 std::unique_ptr<ServerConnection> connection,
                                                 std::string address) {
  struct Leave {
    Impl& impl;
    std::list<ServerConnection*>::iterator place;
    const std::string& address;
    ~Leave() {
      impl.connections.erase(place);
      --impl.shared.counters.connections_open;
      if (const auto found = impl.per_address.find(address); --found->second == 0)
        impl.per_address.erase(found);
      impl.ended.notify_all();
    }
  };
  ++self->shared.counters.connections_open;
  const Leave leave{*self, self->connections.insert(self->connections.end(), connection.get()), address};
  co_await connection->run();
}

void HttpServer::Impl::accept_some(Listener& listener, bool& pause) {
  for (int i = 0; i < kAcceptsPerTurn && listener.descriptor.is_open(); ++i) {
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    OwnedFd socket(::accept4(listener.descriptor.native_handle(), reinterpret_cast<sockaddr*>(&from), &length,
                             SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      serve(listener.secured(make_tcp_stream(shared.runtime.executor(), std::move(socket))), to_peer(from),
            listener.options.mark);
      continue;
    }
    pause = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (errno == EINTR || errno == ECONNABORTED) continue;
    return;
  }
}

awaitable<void> HttpServer::Impl::accept_loop(std::shared_ptr<Impl> self,
                                              std::shared_ptr<Listener> listener) {
  bool warned = false;
  while (listener->descriptor.is_open()) {
    auto ready = co_await listener->descriptor.async_wait(Descriptor::wait_read, as_tuple_awaitable);
    if (std::get<0>(ready)) co_return;
    bool pause = false;
    self->accept_some(*listener, pause);
    if (!pause) continue;
    // Without free descriptors the connections wait in the backlog; asking again at once would only burn
    // time.
    if (!std::exchange(warned, true)) log::warn("accept_paused", {{"reason", "no free file descriptors"}});
    if (!co_await self->shared.runtime.sleep_for(kAcceptPause)) co_return;
  }
}

void HttpServer::Impl::close_listeners() {
  for (const auto& listener : listeners) {
    boost::system::error_code ignored;
    listener->descriptor.close(ignored);
  }
  listeners.clear();
}

HttpServer::HttpServer(Runtime& runtime, ServerLimits limits, Handler handler)
    : impl_(std::make_shared<Impl>(runtime, limits, std::move(handler))) {}

HttpServer::~HttpServer() {
  impl_->shared.stopping = true;
  impl_->close_listeners();
  for (ServerConnection* connection : impl_->connections) connection->close();
  impl_->listeners_group.cancel_all();
  impl_->connections_group.cancel_all();
}

void HttpServer::set_quick_handler(QuickHandler quick) { impl_->shared.quick = std::move(quick); }

Result<OwnedFd> bind_port(std::string_view address, std::uint16_t port) {
  ATELIER_TRY(SocketAddress where, to_address(address, port));
  OwnedFd socket(::socket(where.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return std::unexpected(listen_error(errno, address, port));
  const int yes = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&where.storage), where.length) != 0) {
    return std::unexpected(listen_error(errno, address, port));
  }
  return socket;
}

Result<std::uint16_t> HttpServer::listen(OwnedFd bound, ListenOptions options) {
  SocketAddress where;
  where.length = sizeof where.storage;
  ::getsockname(bound.get(), reinterpret_cast<sockaddr*>(&where.storage), &where.length);
  const Peer self = to_peer(where.storage);
  if (::listen(bound.get(), kBacklog) != 0)
    return std::unexpected(listen_error(errno, self.address, self.port));
  auto listener =
      std::make_shared<Listener>(impl_->shared.runtime.executor(), std::move(bound), std::move(options));
  impl_->listeners.push_back(listener);
  impl_->listeners_group.spawn("http listener", Impl::accept_loop(impl_, std::move(listener)));
  return self.port;
}

Result<std::uint16_t> HttpServer::listen(std::string_view address, std::uint16_t port) {
  ATELIER_TRY(OwnedFd bound, bind_port(address, port));
  return listen(std::move(bound));
}

void HttpServer::serve(std::unique_ptr<ByteStream> stream, Peer peer, std::uint64_t mark) {
  impl_->serve(std::move(stream), std::move(peer), mark);
}

awaitable<bool> HttpServer::stop(Instant deadline) {
  auto impl = impl_;
  impl->shared.stopping = true;
  impl->close_listeners();
  for (ServerConnection* connection : impl->connections) connection->stop();
  while (!impl->connections.empty()) {
    if (!co_await impl->ended.wait(deadline)) break;
  }
  const bool all_ended = impl->connections.empty();
  for (ServerConnection* connection : impl->connections) connection->close();
  co_await impl->connections_group.stop(impl->shared.runtime.now() + milliseconds{2'000});
  co_await impl->listeners_group.stop(impl->shared.runtime.now() + milliseconds{2'000});
  co_return all_ended;
}

ServerCounters HttpServer::counters() const { return impl_->shared.counters; }

}  // namespace atelier::net
