// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509err.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "net/tls_internal.hpp"

namespace atelier::net {
namespace {

using Context = std::unique_ptr<SSL_CTX, FreeOpenssl>;

/// A key that asks for a pass phrase is refused instead of asking on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

Result<void> check_readable(const std::string& path, std::string_view key) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr)
    return fail(Errc::config, fmt::format("{}: \"{}\": {}", key, path, std::strerror(errno)));
  std::fclose(file);
  return {};
}

/// HTTP/1.1 is the one protocol here; a peer that offers others only is served all the same.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* length, const unsigned char* offered,
                    unsigned int offered_length, void*) {
  static constexpr unsigned char kOurs[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, length, kOurs, sizeof kOurs, offered, offered_length) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Context make_context(const SSL_METHOD* method) {
  ERR_clear_error();
  Context context(SSL_CTX_new(method));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Buffers of idle connections are given back; a retried write may come from another address (net.md 2.6).
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context.get(), 1);  // one recv for a record's head and body
  return context;
}

}  // namespace

std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const std::string& certificate_path,
                                                             const std::string& key_path) {
  ATELIER_TRY_VOID(check_readable(certificate_path, "SSL_CERT_PATH"));
  ATELIER_TRY_VOID(check_readable(key_path, "SSL_KEY_PATH"));
  Context context = make_context(TLS_server_method());
  SSL_CTX_set_default_passwd_cb(context.get(), no_pass_phrase);
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate_path.c_str()) != 1) {
    return fail(Errc::config, fmt::format("SSL_CERT_PATH: \"{}\" holds no certificate in PEM form ({})",
                                          certificate_path, openssl_reason()));
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), key_path.c_str(), SSL_FILETYPE_PEM) != 1) {
    const unsigned long code = ERR_peek_last_error();
    if (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
      ERR_clear_error();
      return fail(Errc::config, fmt::format("SSL_KEY_PATH: the key in \"{}\" is not that of the certificate "
                                            "in \"{}\"",
                                            key_path, certificate_path));
    }
    return fail(Errc::config, fmt::format("SSL_KEY_PATH: \"{}\" holds no private key in PEM form without a "
                                          "pass phrase ({})",
                                          key_path, openssl_reason()));
  }
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  // With none, a new connection of a client without TCP_NODELAY takes 44 ms longer (net.md 3).
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);  // tickets hold what is needed
  // Lengths say where messages end; many clients leave without a close_notify.
  SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  return std::make_shared<const OpensslContext>(std::move(context));
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const std::string& authorities_path) {
  Context context = make_context(TLS_client_method());
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (authorities_path.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
    // Built on Debian, run elsewhere: there the system's authorities lie in another place.
    if (::access(X509_get_default_cert_dir(), R_OK) != 0 &&
        ::access(X509_get_default_cert_file(), R_OK) != 0) {
      for (const char* bundle : {"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
        if (SSL_CTX_load_verify_locations(context.get(), bundle, nullptr) == 1) break;
      }
    }
  } else if (SSL_CTX_load_verify_locations(context.get(), authorities_path.c_str(), nullptr) != 1) {
    return fail(Errc::config, fmt::format("\"{}\" holds no certificates in PEM form ({})", authorities_path,
                                          openssl_reason()));
  }
  static constexpr unsigned char kOurs[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context.get(), kOurs, sizeof kOurs);
  return std::make_shared<const OpensslContext>(std::move(context));
}

}  // namespace atelier::net
