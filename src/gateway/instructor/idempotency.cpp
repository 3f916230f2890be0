// SPDX-License-Identifier: MIT
#include "gateway/instructor/idempotency.hpp"

#include "gateway/instructor/problem.hpp"

namespace atelier::gateway {
namespace {

constexpr milliseconds kPatience{30'000};

net::Response again(unsigned status, const std::string& type, const std::string& body) {
  net::Response response(status, type, body);
  response.headers.add("Cache-Control", "no-store");
  response.headers.add("Idempotency-Replayed", "true");
  return response;
}

}  // namespace

void Idempotency::forget(const std::string& key, const EntryPtr& entry) {
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second != entry) return;
  bytes_ -= entry->body.size();
  entries_.erase(found);
}

void Idempotency::make_room() {
  while (!by_age_.empty()) {
    const auto& [key, entry] = by_age_.front();
    const bool old = runtime_.now() - entry->since >= limits_.kept;
    if (!old && by_age_.size() < limits_.keys_max && bytes_ <= limits_.bytes_max) return;
    forget(key, entry);
    by_age_.pop_front();
  }
}

void Idempotency::keep(const std::string& key, const EntryPtr& entry, const net::Response& response) {
  const auto* body = std::get_if<std::string>(&response.body);
  if (response.status >= 500 || response.status == 429 || body == nullptr) {
    forget(key, entry);
    entry->given_up = true;
  } else {
    entry->status = response.status;
    entry->type = response.headers.get("Content-Type");
    entry->body = *body;
    const auto found = entries_.find(key);
    if (found != entries_.end() && found->second == entry) bytes_ += entry->body.size();
  }
  entry->settled.notify_all();
}

awaitable<net::Response> Idempotency::run(std::string key, Digest request, Work work) {
  while (true) {
    make_room();
    const auto found = entries_.find(key);
    if (found == entries_.end()) break;
    const EntryPtr entry = found->second;
    if (entry->request != request) {
      const Problem other(422, "This Idempotency-Key was used for another command: send a fresh one.");
      co_return problem_response(other);
    }
    const Instant patience = runtime_.now() + kPatience;
    while (entry->status == 0 && !entry->given_up) {
      if (co_await entry->settled.wait(patience)) continue;
      const Problem busy(503, "The same command is still at work: ask again.");
      co_return problem_response(busy);
    }
    if (entry->status != 0) co_return again(entry->status, entry->type, entry->body);
  }
  const auto entry = std::make_shared<Entry>(runtime_, request, runtime_.now());
  entries_[key] = entry;
  by_age_.emplace_back(key, entry);
  // Whoever goes away in mid-work leaves the key to the next one.
  struct Guard {
    ~Guard() {
      if (entry->status != 0 || entry->given_up) return;
      self.forget(key, entry);
      entry->given_up = true;
      entry->settled.notify_all();
    }
    Idempotency& self;
    const std::string& key;
    EntryPtr entry;
  };
  const Guard guard{*this, key, entry};
  net::Response response = co_await work();
  keep(key, entry, response);
  co_return response;
}

}  // namespace atelier::gateway
