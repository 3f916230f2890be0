// SPDX-License-Identifier: MIT
#pragma once
// Idempotency-Key: who repeats a command with the same key within ten minutes gets the same answer, and
// nothing is done twice. In memory and bounded; what a restart forgets does no harm, because the API's
// commands say how things shall be, and saying it again changes nothing. One thread.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/hash.hpp"
#include "net/http.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::gateway {

struct IdempotencyLimits {
  std::size_t keys_max = 1'000;
  std::size_t bytes_max = 8u << 20;  // of kept answers
  milliseconds kept{10 * 60'000};
};

class Idempotency {
 public:
  using Work = std::function<awaitable<net::Response>()>;

  explicit Idempotency(Runtime& runtime, IdempotencyLimits limits = {})
      : runtime_(runtime), limits_(limits) {}

  /// The answer of `work`, or the one that was given before for this `key`. `request` is a digest of all that
  /// the command says: another one for the same key is a problem 422. Who comes while the first is at work
  /// waits for its answer. Answers that ask for another try (429, 5xx) are not kept.
  [[nodiscard]] awaitable<net::Response> run(std::string key, Digest request, Work work);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Entry(Runtime& runtime, Digest digest, Instant made) : request(digest), since(made), settled(runtime) {}
    Digest request;
    Instant since;
    unsigned status = 0;  // 0: at work
    std::string type, body;
    bool given_up = false;
    Signal settled;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  void make_room();
  void forget(const std::string& key, const EntryPtr& entry);
  void keep(const std::string& key, const EntryPtr& entry, const net::Response& response);

  Runtime& runtime_;
  IdempotencyLimits limits_;
  std::map<std::string, EntryPtr, std::less<>> entries_;
  std::deque<std::pair<std::string, EntryPtr>> by_age_;
  std::size_t bytes_ = 0;
};

}  // namespace atelier::gateway
