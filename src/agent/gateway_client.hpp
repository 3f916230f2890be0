// SPDX-License-Identifier: MIT
#pragma once
// The HTTP side of the worker link (docs/protocol/worker-link.md, "HTTP"). One thread.

#include <memory>
#include <string>

#include "agent/credentials.hpp"
#include "agent/run_files.hpp"
#include "agent/vocabulary.hpp"
#include "net/http_client.hpp"
#include "runtime/runtime.hpp"

namespace atelier::agent {

/// Errors of every call: stale_epoch (drop the job), disk_full, bad_hash, too_large, not_found; closed,
/// timeout and unavailable mean "try again", as do 401, 5xx and answers to a link that is no longer the
/// present one.
class GatewayClient {
 public:
  GatewayClient(Runtime& runtime, net::HttpClient& http, Credentials& credentials);

  /// From `welcome`; `base` without a trailing slash.
  void set_link(net::Url base, LinkId link);

  /// The accepted form, verified.
  [[nodiscard]] awaitable<Result<std::string>> prompt(RunKey key, link::PromptRef reference);
  /// The head of the answer, of status 206 (the bytes from `from` on) or 200 (all of them); the caller reads
  /// and verifies the body. Error also: protocol (a part that was not asked for).
  [[nodiscard]] awaitable<Result<net::ClientResponse>> input(RunKey key, Digest digest, std::uint64_t from);
  /// Brings a file into staging, from where the gateway already has it.
  [[nodiscard]] awaitable<Result<void>> upload(RunKey key, std::uint32_t number, LocalFile file, bool anew);
  /// Where a tunnel's WebSocket is opened, with the headers of this link.
  [[nodiscard]] awaitable<Result<net::ClientRequest>> tunnel(Key128 id);
  /// How large the models of this object_info are: before it is published itself.
  [[nodiscard]] awaitable<Result<void>> publish_model_sizes(Digest digest, std::string sizes);
  /// Gives what an engine told of itself to the gateway unless it has it. `what` is "object_info" or
  /// "models": an older gateway does not know the latter (not_found).
  [[nodiscard]] awaitable<Result<void>> publish(std::string what, Digest digest,
                                                std::shared_ptr<const std::string> bytes);

 private:
  struct Head {
    unsigned status = 0;
    std::optional<std::uint64_t> offset;  // Upload-Offset
    std::string text;
  };
  /// Errors: those of Credentials::bearer(), all as unavailable.
  awaitable<Result<net::ClientRequest>> make(net::Method method, std::string path);
  /// Of HttpClient; after a 401 the next request has another token.
  awaitable<Result<net::ClientResponse>> request(net::ClientRequest request, Instant deadline);
  awaitable<Result<Head>> exchange(net::ClientRequest request, Instant deadline);
  Error error_of(unsigned status, std::string text, LinkId asked_on) const;

  Runtime& runtime_;
  net::HttpClient& http_;
  Credentials& credentials_;
  net::Url base_;
  LinkId link_;
};

}  // namespace atelier::agent
