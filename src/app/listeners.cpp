// SPDX-License-Identifier: MIT
#include "app/listeners.hpp"

#include <fmt/format.h>

namespace atelier::app {
namespace {

using Security = net::ListenOptions::Security;

std::string url_of(std::string_view scheme, const std::string& address, std::uint16_t port) {
  const std::string shown = address == "0.0.0.0" || address == "::" ? "127.0.0.1" : address;
  const bool own = scheme == "https" && port == 443;
  return fmt::format("{}://{}{}/", scheme,
                     shown.find(':') == std::string::npos ? shown : fmt::format("[{}]", shown),
                     own ? "" : fmt::format(":{}", port));
}

}  // namespace

Result<Listeners> Listeners::bind(const Config& config) {
  Listeners out;
  out.address_ = config.text("LISTEN");
  out.domain_ = config.text("DOMAIN");
  std::string mistakes;
  const auto note = [&mistakes](const Error& error) {
    mistakes += mistakes.empty() ? "" : "\n";
    mistakes += error.what;
  };
  std::shared_ptr<const net::TlsContext> tls;
  if (const std::string certificate = config.text("SSL_CERT_PATH"); !certificate.empty()) {
    if (auto loaded = net::TlsContext::server(certificate, config.text("SSL_KEY_PATH"))) {
      tls = std::move(*loaded);
    } else {
      note(loaded.error());
    }
  }
  const auto open = [&](std::int64_t number, Security security, std::uint64_t mark) {
    Port port;
    port.options = {security, security == Security::plain ? nullptr : tls, mark};
    if (auto bound = net::bind_port(out.address_, static_cast<std::uint16_t>(number))) {
      port.socket = std::move(*bound);
    } else {
      note(bound.error());
    }
    return port;
  };
  out.http_ = open(config.number("HTTP_PORT"), Security::plain, 0);
  if (tls && config.number("HTTPS_PORT") != 0)
    out.https_ = open(config.number("HTTPS_PORT"), Security::tls, 0);
  const std::int64_t first = config.number("SEAT_PORTS");
  for (std::int64_t n = 1; first != 0 && n <= config.number("NUM_USERS"); ++n) {
    out.seats_.push_back(
        open(first + n - 1, tls ? Security::either : Security::plain, static_cast<std::uint64_t>(n)));
  }
  if (!mistakes.empty()) return fail(Errc::config, std::move(mistakes));
  return out;
}

Result<void> Listeners::listen(net::HttpServer& server) {
  ATELIER_TRY_VOID(listen_at(server, std::move(http_), "http", http_url_));
  if (https_.socket) ATELIER_TRY_VOID(listen_at(server, std::move(https_), "https", https_url_));
  for (Port& seat : seats_) {
    std::string ignored;
    ATELIER_TRY_VOID(listen_at(server, std::move(seat), "http", ignored));
  }
  return {};
}

Result<void> Listeners::listen_at(net::HttpServer& server, Port port, std::string_view scheme,
                                  std::string& url) const {
  ATELIER_TRY(const std::uint16_t number, server.listen(std::move(port.socket), std::move(port.options)));
  // A certificate is for a name: with the address in it the browser would warn.
  url = url_of(scheme, scheme == "https" && !domain_.empty() ? domain_ : address_, number);
  return {};
}

}  // namespace atelier::app
