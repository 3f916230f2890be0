// SPDX-License-Identifier: MIT
#pragma once
// The Redis backend (design.md 7, docs/decisions/journal-2026-11-29-redis.md): one stream gives the order,
// attachments are keys written in the same script. Everything runs on the Runtime's thread.

#include <chrono>
#include <memory>
#include <string>

#include "journal/journal.hpp"

namespace atelier::journal::redis {

struct Options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::string password;            // "": none is sent
  bool tls = false;                // the system's authorities are trusted
  std::string prefix = "atelier";  // of all its keys: {prefix}:head, {prefix}:entries, ...
  /// Nobody else writes: open() waits until a writer that is gone has run out, and refuses one that is alive.
  /// Off: several gateways write, and the stream decides.
  bool alone = true;
  milliseconds writer_ttl{6'000};  // for that long a writer that says nothing counts as alive
  /// A file that remembers the last entry that was seen, so that a server that starts again notices a store
  /// that lost some; "": it is not remembered.
  std::string mark_path;
  milliseconds patience{5'000};  // for one answer of Redis
  /// What Redis keeps must be on its disk before it answers: refuse a Redis that is configured otherwise.
  bool demand_durable = true;
};

/// Connects, makes an empty store if there is none, and looks at the settings of Redis. Errors: unavailable
/// (not reachable, or still loading), config (its settings, the password, another writer), newer_version, io
/// (entries that were seen are not there any more).
[[nodiscard]] awaitable<Result<std::unique_ptr<Journal>>> open(Runtime& runtime, Options options);

/// For the journal commands; changes nothing. Errors: as open, and config if there is no store.
[[nodiscard]] Result<std::unique_ptr<StoreReader>> open_reader(Options options);

}  // namespace atelier::journal::redis
