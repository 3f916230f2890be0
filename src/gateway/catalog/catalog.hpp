// SPDX-License-Identifier: MIT
#pragma once
// What the workers' engines can do, as they last reported it: written by the worker link, read by the
// participant's face. Kept on disk (DATA_DIR/catalog/<hash>.json), so that editors work with no GPU on. One
// thread; parsing on the compute pool; readers hold a shared_ptr to an immutable object, replaced whole.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "comfy/ability.hpp"
#include "comfy/object_info.hpp"
#include "files/files.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

class Catalog {
 public:
  Catalog(Runtime& runtime, files::Files& files);
  ~Catalog();

  /// Reads what earlier runs stored (the newest 16); damaged files are skipped with a warning.
  [[nodiscard]] awaitable<Result<void>> load();
  /// Takes an engine's /object_info: verifies the hash, parses, stores, merges. Errors: bad_hash,
  /// bad_request, too_large, disk_full, io.
  [[nodiscard]] awaitable<Result<void>> add(Digest hash, std::shared_ptr<const std::string> bytes);
  [[nodiscard]] bool knows(const Digest& hash) const;
  /// Null if unknown.
  [[nodiscard]] std::shared_ptr<const comfy::EngineAbility> ability(const Digest& hash) const;

  /// The workers that are connected now, and what their engines have: nothing known of one that start. The
  /// union is over these and over those that went within the last minutes: a worker that restarts, or a line
  /// that breaks, takes no nodes from the editors; a prompt that needs them waits. While none is connected it
  /// stays as it was; before the first one comes it is over all that is stored.
  void set_connected(std::map<std::string, std::set<Digest>> workers);
  /// This worker does not come back.
  void forget(std::string_view worker);
  /// The union; empty before the first report, never null. Whose time is over leaves it when it is asked for.
  [[nodiscard]] std::shared_ptr<const comfy::ObjectInfo> object_info() const;
  /// Raised with every change of object_info(), for ETags and caches.
  [[nodiscard]] std::uint64_t generation() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::gateway
