// SPDX-License-Identifier: MIT
#pragma once
// What the agent shows the gateway: the workers' long-lived token, or that of a session which its own key
// opens (docs/protocol/worker-link.md, "Enrolment"). One thread.

#include <optional>
#include <string>
#include <string_view>

#include "base/signature.hpp"
#include "files/directory.hpp"
#include "net/http_client.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::agent {

/// The worker's own key: `worker.key` (mode 0600) in its state folder. These functions block.
class KeyFile {
 public:
  explicit KeyFile(std::string state_dir) : state_dir_(std::move(state_dir)) {}
  /// Nothing if there is none. One that others could read gets mode 0600. Errors: config, with the path.
  [[nodiscard]] Result<std::optional<SigningKey>> read() const;
  /// Replace::yes: the one that is there is of no use any more; else it stays, and is given. Errors: config.
  [[nodiscard]] Result<SigningKey> write(const SigningKey& key, files::Replace replace) const;

 private:
  std::string state_dir_;
};

/// True for a token that is good for one enrolment.
[[nodiscard]] bool is_enrolment_token(std::string_view token);

class Credentials {
 public:
  /// `join`: of the gateway. `token`: an enrolment's, the long-lived one, or "" if the key is known already.
  Credentials(Runtime& runtime, net::HttpClient& http, net::Url join, std::string worker, std::string token,
              std::string state_dir);

  /// The token for the next request. Opens a session with the key if there is one, and enrols first if need
  /// be: a key is made and kept before the gateway hears of it. Errors: forbidden (the gateway's sentence),
  /// config (the key cannot be kept); all others mean "try again".
  [[nodiscard]] awaitable<Result<std::string>> bearer();
  /// The gateway answered 401 to it. True if bearer() may have another one.
  bool refused(std::string_view bearer);

 private:
  struct Answer {
    unsigned status = 0;
    std::string text;
  };
  awaitable<Result<std::string>> renew();
  awaitable<Result<std::string>> open_session(SigningKey key);
  /// Errors: conflict (this key was revoked: make another), forbidden, unavailable.
  awaitable<Result<void>> enrol(std::string public_key);
  awaitable<Result<SigningKey>> make_key(files::Replace replace);
  awaitable<Result<Answer>> post(std::string path, std::string body, std::string bearer);

  Runtime& runtime_;
  net::HttpClient& http_;
  net::Url join_;
  std::string worker_, token_;
  KeyFile key_file_;
  std::string session_;  // "": none
  Instant renew_at_;
  bool token_only_ = false;  // no key of this machine is known there, and the token is long-lived
  bool busy_ = false;
  Signal idle_;
};

}  // namespace atelier::agent
