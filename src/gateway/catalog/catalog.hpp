// SPDX-License-Identifier: MIT
#pragma once
// What the workers' engines can do, and the models that they have, as they last reported it: written by the
// worker link, read by the participant's face. Kept on disk (DATA_DIR/catalog/<hash>.json and
// <hash>.models.json), so that editors work with no GPU on. One thread; parsing on the compute pool; readers
// hold a shared_ptr to an immutable object, replaced whole.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.hpp"
#include "base/result.hpp"
#include "comfy/ability.hpp"
#include "comfy/model_lists.hpp"
#include "comfy/object_info.hpp"
#include "files/files.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

class Catalog {
 public:
  Catalog(Runtime& runtime, files::Files& files);
  ~Catalog();

  /// Reads what earlier runs stored (the newest 16 of each kind); damaged files are skipped with a warning.
  [[nodiscard]] awaitable<Result<void>> load();
  /// Takes an engine's /object_info: verifies the hash, parses, stores, merges. Errors: bad_hash,
  /// bad_request, too_large, disk_full, io.
  [[nodiscard]] awaitable<Result<void>> add(Digest hash, std::shared_ptr<const std::string> bytes);
  /// The same with an engine's lists of models; if they cannot be stored, they are known until the server
  /// ends. Errors: bad_hash, bad_request, too_large.
  [[nodiscard]] awaitable<Result<void>> add_models(Digest hash, std::shared_ptr<const std::string> bytes);
  /// Lists that nobody has any more leave the disk, too: they are not what editors shall see after a restart.
  [[nodiscard]] awaitable<void> drop_old_models();
  /// Either kind.
  [[nodiscard]] bool knows(const Digest& hash) const;
  /// As knows, for a worker that will say that its engine has it: lists of models then stay for a minute,
  /// though nobody has them yet.
  [[nodiscard]] bool expect(const Digest& hash);
  /// With the variants of its classes (comfy/variants) among them. Null if unknown.
  [[nodiscard]] std::shared_ptr<const comfy::EngineAbility> ability(const Digest& hash) const;

  /// The workers that are connected now, and what their engines have, of both kinds: no object_info known of
  /// those that start. The union is over these and over those that went within the last minutes: a worker
  /// that restarts, or a line that breaks, takes no nodes from the editors; a prompt that needs them waits.
  /// While none is connected it stays as it was; before the first one comes it is over all that is stored.
  void set_connected(std::map<std::string, std::set<Digest>> workers);
  /// This worker does not come back.
  void forget(std::string_view worker);
  /// The union; empty before the first report, never null. Whose time is over leaves it when it is asked for.
  [[nodiscard]] std::shared_ptr<const comfy::ObjectInfo> object_info() const;
  /// How many of object_info()'s sources, the first ones, are of workers that are connected now.
  [[nodiscard]] std::size_t engines_connected() const;
  /// The lists of models of the same workers; of a file that several have the first one tells.
  [[nodiscard]] std::vector<std::shared_ptr<const comfy::ModelLists>> models() const;
  /// Raised with every change of object_info(), for ETags and caches.
  [[nodiscard]] std::uint64_t generation() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::gateway
