// SPDX-License-Identifier: MIT
#include "app/listeners.hpp"

#include <fmt/format.h>

#include <charconv>

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

struct Place {
  std::string address;
  std::uint16_t port = 0;
};

/// ENGINE_PAGES_LISTEN; nothing if it is not set.
Result<std::optional<Place>> engine_pages_place(const Config& config) {
  const std::string text = config.text("ENGINE_PAGES_LISTEN");
  if (text.empty()) return std::nullopt;
  const std::size_t colon = text.rfind(':');
  Place place;
  place.address = text.substr(0, colon);
  if (place.address.starts_with('[') && place.address.ends_with(']'))
    place.address = place.address.substr(1, place.address.size() - 2);
  const std::string_view number =
      colon == std::string::npos ? std::string_view() : std::string_view(text).substr(colon + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), place.port);
  if (number.empty() || error != std::errc{} || end != number.data() + number.size()) {
    return fail(
        Errc::config,
        fmt::format("ENGINE_PAGES_LISTEN: \"{}\" is not an address and a port, such as 127.0.0.1:8190",
                    text));
  }
  return place;
}

/// ENGINE_PAGES_URL; nothing if it is not set.
Result<std::optional<net::Url>> engine_pages_url(const Config& config) {
  const std::string text = config.text("ENGINE_PAGES_URL");
  if (text.empty()) return std::nullopt;
  if (config.text("ENGINE_PAGES_LISTEN").empty())
    return fail(Errc::config, "ENGINE_PAGES_URL: needs ENGINE_PAGES_LISTEN, too");
  auto parsed = net::parse_url(text);
  const bool web = parsed && (parsed->scheme == "http" || parsed->scheme == "https");
  if (!web || parsed->target != "/") {
    return fail(Errc::config,
                fmt::format("ENGINE_PAGES_URL: \"{}\" is not a scheme, a host and perhaps a port, "
                            "such as https://gpu.example.org",
                            text));
  }
  return std::move(*parsed);
}

/// What the configuration says, before any port is opened.
struct Wanted {
  std::shared_ptr<const net::TlsContext> tls;
  std::optional<Place> engine_pages;
  std::optional<net::Url> engine_pages_url;
};

class Mistakes {
 public:
  /// The value; if there is none, one of its own making, and its error is noted.
  template <class T>
  T take(Result<T> result) {
    if (result) return std::move(*result);
    note(result.error());
    return T{};
  }
  void note(const Error& error) {
    text_ += text_.empty() ? "" : "\n";
    text_ += error.what;
  }
  [[nodiscard]] Result<void> result() const {
    if (text_.empty()) return {};
    return fail(Errc::config, text_);
  }

 private:
  std::string text_;
};

Wanted read(const Config& config, Mistakes& mistakes) {
  Wanted wanted;
  if (const std::string certificate = config.text("SSL_CERT_PATH"); !certificate.empty())
    wanted.tls = mistakes.take(net::TlsContext::server(certificate, config.text("SSL_KEY_PATH")));
  wanted.engine_pages = mistakes.take(engine_pages_place(config));
  wanted.engine_pages_url = mistakes.take(engine_pages_url(config));
  return wanted;
}

}  // namespace

Result<void> Listeners::check(const Config& config) {
  Mistakes mistakes;
  (void)read(config, mistakes);
  return mistakes.result();
}

Result<Listeners> Listeners::bind(const Config& config) {
  Listeners out;
  out.address_ = config.text("LISTEN");
  out.domain_ = config.text("DOMAIN");
  Mistakes mistakes;
  const Wanted wanted = read(config, mistakes);
  const std::shared_ptr<const net::TlsContext>& tls = wanted.tls;
  const auto open_at = [&](std::string_view address, std::int64_t number, Security security,
                           std::uint64_t mark) {
    Port port;
    port.options = {security, security == Security::plain ? nullptr : tls, mark};
    if (auto bound = net::bind_port(address, static_cast<std::uint16_t>(number))) {
      port.socket = std::move(*bound);
    } else {
      mistakes.note(bound.error());
    }
    return port;
  };
  const auto open = [&](std::int64_t number, Security security, std::uint64_t mark) {
    return open_at(out.address_, number, security, mark);
  };
  out.http_ = open(config.number("HTTP_PORT"), Security::plain, 0);
  if (tls && config.number("HTTPS_PORT") != 0)
    out.https_ = open(config.number("HTTPS_PORT"), Security::tls, 0);
  const std::int64_t first = config.number("SEAT_PORTS");
  for (std::int64_t n = 1; first != 0 && n <= config.number("NUM_USERS"); ++n) {
    out.seats_.push_back(
        open(first + n - 1, tls ? Security::either : Security::plain, static_cast<std::uint64_t>(n)));
  }
  if (const auto& place = wanted.engine_pages) {
    out.engine_pages_address_ = place->address;
    out.engine_pages_ = open_at(place->address, place->port, tls ? Security::tls : Security::plain, 0);
  }
  out.engine_pages_url_ = wanted.engine_pages_url;
  ATELIER_TRY_VOID(mistakes.result());
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

Result<net::Url> Listeners::listen_for_engine_pages(net::HttpServer& server) {
  const bool secure = engine_pages_.options.security == Security::tls;
  ATELIER_TRY(const std::uint16_t number,
              server.listen(std::move(engine_pages_.socket), std::move(engine_pages_.options)));
  if (engine_pages_url_) return *engine_pages_url_;
  net::Url url;
  url.scheme = secure ? "https" : "http";
  url.host = secure && !domain_.empty() ? domain_ : engine_pages_address_;
  url.port = number;
  return url;
}

Result<void> Listeners::listen_at(net::HttpServer& server, Port port, std::string_view scheme,
                                  std::string& url) const {
  ATELIER_TRY(const std::uint16_t number, server.listen(std::move(port.socket), std::move(port.options)));
  // A certificate is for a name: with the address in it the browser would warn.
  url = url_of(scheme, scheme == "https" && !domain_.empty() ? domain_ : address_, number);
  return {};
}

}  // namespace atelier::app
