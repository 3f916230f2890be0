// SPDX-License-Identifier: MIT
#pragma once
// Inside src/net only: OpenSSL's objects with owners, shared by tls_context.cpp and tls_stream.cpp.

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "net/tls.hpp"

namespace atelier::net {

struct FreeOpenssl {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

class OpensslContext final : public TlsContext {
 public:
  explicit OpensslContext(std::unique_ptr<SSL_CTX, FreeOpenssl> context) : context_(std::move(context)) {}
  [[nodiscard]] SSL_CTX* get() const { return context_.get(); }

 private:
  std::unique_ptr<SSL_CTX, FreeOpenssl> context_;
};

[[nodiscard]] inline SSL_CTX* native(const TlsContext& context) {
  return static_cast<const OpensslContext&>(context).get();
}

/// The newest sentence of OpenSSL's error queue of this thread, which is emptied.
[[nodiscard]] std::string openssl_reason();

}  // namespace atelier::net
