// SPDX-License-Identifier: MIT
#pragma once
// The ports of `atelier serve`: HTTP, HTTPS, and one per seat. Bound first, so that what is wrong with them
// is known before anything is written; listened on last, so that nobody connects to half a server.

#include <memory>
#include <string>
#include <vector>

#include "base/config.hpp"
#include "net/http_server.hpp"

namespace atelier::app {

class Listeners {
 public:
  /// Errors: config, with all mistakes of all ports and of the certificate, one per line.
  [[nodiscard]] static Result<Listeners> bind(const Config& config);
  /// Errors: config (another program was faster).
  [[nodiscard]] Result<void> listen(net::HttpServer& server);

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
};

}  // namespace atelier::app
