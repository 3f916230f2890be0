// SPDX-License-Identifier: MIT
#pragma once
// The ports of `atelier serve`: HTTP, HTTPS, one per seat, and that of workers' own pages. Bound first, so
// that what is wrong with them is known before anything is written; listened on last, so that nobody connects
// to half a server.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.hpp"
#include "net/http_server.hpp"

namespace atelier::app {

class Listeners {
 public:
  /// Whether bind() could do it, apart from the ports: their addresses, and the certificate. Errors: config,
  /// with all mistakes, one per line.
  [[nodiscard]] static Result<void> check(const Config& config);
  /// Errors: config, with all mistakes of all ports and of the certificate, one per line.
  [[nodiscard]] static Result<Listeners> bind(const Config& config);
  /// Errors: config (another program was faster).
  [[nodiscard]] Result<void> listen(net::HttpServer& server);

  /// The port of workers' own pages, which has a server of its own. Nothing without ENGINE_PAGES_LISTEN, else
  /// the URL that browsers reach it at (EnginePagesOptions). Errors: config (another program was faster).
  [[nodiscard]] bool has_engine_pages() const { return static_cast<bool>(engine_pages_.socket); }
  [[nodiscard]] Result<net::Url> listen_for_engine_pages(net::HttpServer& server);

  /// "http://127.0.0.1:8080/"; valid after listen().
  [[nodiscard]] const std::string& http_url() const { return http_url_; }
  /// "https://workshop.example/"; "" if there is no certificate.
  [[nodiscard]] const std::string& https_url() const { return https_url_; }

 private:
  struct Port {
    net::OwnedFd socket;
    net::ListenOptions options;
  };
  Result<void> listen_at(net::HttpServer& server, Port port, std::string_view scheme, std::string& url) const;

  std::string address_, domain_, http_url_, https_url_;
  Port http_, https_;
  std::vector<Port> seats_;
  Port engine_pages_;
  std::string engine_pages_address_;
  std::optional<net::Url> engine_pages_url_;  // if it is configured
};

}  // namespace atelier::app
