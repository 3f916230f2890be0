// SPDX-License-Identifier: MIT
#include "gateway/catalog/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "comfy/variants.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kStoredMax = 16;  // beside those of connected engines
constexpr std::uint64_t kBytesMax = 64u << 20;
constexpr std::string_view kModelsEnding = ".models.json", kInfoEnding = ".json";
// How long a worker that is away stays in the union: longer than a machine needs to start again.
constexpr milliseconds kStays{10 * 60'000};
constexpr milliseconds kExpected{60'000};

struct Parsed {
  std::shared_ptr<const comfy::ObjectInfo> info;
  std::shared_ptr<const comfy::EngineAbility> ability;
};

Result<Parsed> parse(const Digest& hash, std::string_view bytes) {
  if (sha256(bytes) != hash) return fail(Errc::bad_hash, "object_info differs from its hash");
  ATELIER_TRY(auto info, comfy::ObjectInfo::parse(bytes));
  Parsed parsed;
  comfy::EngineAbility ability = comfy::ability_of(info);
  std::ranges::move(comfy::variant_names(info), std::back_inserter(ability.classes));
  std::ranges::sort(ability.classes);
  parsed.ability = std::make_shared<const comfy::EngineAbility>(std::move(ability));
  parsed.info = std::make_shared<const comfy::ObjectInfo>(std::move(info));
  return parsed;
}

using Models = std::shared_ptr<const comfy::ModelLists>;

Result<Models> parse_models(const Digest& hash, std::string_view bytes) {
  if (sha256(bytes) != hash) return fail(Errc::bad_hash, "lists of models differ from their hash");
  ATELIER_TRY(auto lists, comfy::ModelLists::parse(bytes));
  return std::make_shared<const comfy::ModelLists>(std::move(lists));
}

struct Stored {
  std::int64_t modified = 0;
  Digest hash;
  std::string bytes;
};

/// The newest files of that kind, in the order of their times.
Result<std::vector<Stored>> read_stored(const files::Directory& catalog, std::string_view ending) {
  ATELIER_TRY(const auto listing, catalog.list("", {}));
  std::vector<Stored> stored;
  for (const files::Entry& entry : listing.entries) {
    if (entry.kind != files::EntryKind::file || !entry.path.ends_with(ending)) continue;
    const auto hash = Digest::parse(entry.path.substr(0, entry.path.size() - ending.size()));
    if (hash) stored.push_back(Stored{entry.stat.key.modified_ns, *hash, {}});
  }
  std::ranges::sort(stored, {}, &Stored::modified);
  if (stored.size() > kStoredMax)
    stored.erase(stored.begin(), stored.end() - static_cast<std::ptrdiff_t>(kStoredMax));
  for (Stored& one : stored) {
    ATELIER_TRY(const auto file, catalog.open_file(one.hash.hex() + std::string(ending)));
    ATELIER_TRY(one.bytes, file.read_all(kBytesMax));
  }
  return stored;
}

Result<void> store(files::Files& files, const std::string& name, std::string_view bytes) {
  return files::write_atomically(files.data().temp(), files.data().catalog(), name, bytes,
                                 files::FileMode::writable, files::Replace::yes);
}

}  // namespace

struct Catalog::Impl {
  Impl(Runtime& r, files::Files& f) : runtime(r), files(f) {}
  /// What each worker had when it was last heard of.
  struct Worker {
    std::set<Digest> has, models;
    std::optional<Instant> away_since;  // or its ComfyUI has not answered since
  };
  struct Union {
    std::set<Digest> present, away;
    bool operator==(const Union&) const = default;
  };
  using Expected = std::map<Digest, Instant>;
  /// What is known of one kind.
  template <class T>
  struct Kept {
    std::map<Digest, T> known;
    std::vector<Digest> order;  // newest last
    Union of;                   // nothing before the first worker

    /// As the newest. Gives those that make room for it.
    std::vector<Digest> put(const Digest& hash, T one, const Expected& expected = {});
    /// What the union is over, those first that tell of what several have.
    [[nodiscard]] std::vector<Digest> in_union(bool before_first) const;
  };

  [[nodiscard]] bool is_over(const Worker& worker) const {
    return worker.away_since && runtime.now() - *worker.away_since >= kStays;
  }
  /// After a change of `workers`.
  void update();
  /// As update, if somebody's time is over.
  void expire() {
    if (std::ranges::any_of(workers, [this](const auto& entry) { return is_over(entry.second); })) update();
  }
  /// Before the first one comes editors work with what earlier ones could do.
  [[nodiscard]] bool before_first() const { return engines.of.present.empty(); }
  void merge();

  Runtime& runtime;
  files::Files& files;
  Kept<Parsed> engines;
  Kept<Models> models;
  std::set<Digest> old_models;  // that left the union
  Expected expected_at;         // lists of models
  std::map<std::string, Worker, std::less<>> workers;
  std::shared_ptr<const comfy::ObjectInfo> merged = std::make_shared<const comfy::ObjectInfo>();
  std::uint64_t generation = 0;
};

template <class T>
std::vector<Digest> Catalog::Impl::Kept<T>::put(const Digest& hash, T one, const Expected& expected) {
  std::erase(order, hash);
  order.push_back(hash);
  known.insert_or_assign(hash, std::move(one));
  // Whoever brings one is about to say that an engine has it.
  const auto not_needed = [&](const Digest& h) {
    return h != hash && !of.present.contains(h) && !of.away.contains(h) && !expected.contains(h);
  };
  std::vector<Digest> gone;
  while (order.size() > kStoredMax + of.present.size() + of.away.size()) {
    const auto oldest = std::ranges::find_if(order, not_needed);
    if (oldest == order.end()) break;
    gone.push_back(*oldest);
    known.erase(*oldest);
    order.erase(oldest);
  }
  return gone;
}

template <class T>
std::vector<Digest> Catalog::Impl::Kept<T>::in_union(bool before_first) const {
  if (before_first) return {order.rbegin(), order.rend()};
  std::vector<Digest> hashes;
  for (const Digest& hash : order) {
    if (of.present.contains(hash)) hashes.push_back(hash);
  }
  // Who is here describes what several have.
  for (auto hash = order.rbegin(); hash != order.rend(); ++hash) {
    if (of.away.contains(*hash)) hashes.push_back(*hash);
  }
  return hashes;
}

void Catalog::Impl::merge() {
  std::vector<comfy::ObjectInfo> parts;
  for (const Digest& hash : engines.in_union(before_first())) parts.push_back(*engines.known.at(hash).info);
  merged = std::make_shared<const comfy::ObjectInfo>(parts.size() == 1 ? parts.front()
                                                                       : comfy::ObjectInfo::merge(parts));
  ++generation;
}

void Catalog::Impl::update() {
  Union next, next_models;
  for (const auto& [name, worker] : workers) {
    if (worker.away_since) continue;
    next.present.insert(worker.has.begin(), worker.has.end());
    next_models.present.insert(worker.models.begin(), worker.models.end());
  }
  if (next.present.empty()) return;  // the editors keep the union that they have
  std::erase_if(workers, [this](const auto& entry) { return is_over(entry.second); });
  const auto add_others = [](const std::set<Digest>& from, Union& to) {
    std::ranges::set_difference(from, to.present, std::inserter(to.away, to.away.end()));
  };
  for (const auto& [name, worker] : workers) {
    add_others(worker.has, next);
    add_others(worker.models, next_models);
  }
  for (const std::set<Digest>* left : {&models.of.present, &models.of.away})
    old_models.insert(left->begin(), left->end());
  models.of = std::move(next_models);
  if (next == engines.of) return;
  engines.of = std::move(next);
  merge();
}

Catalog::Catalog(Runtime& runtime, files::Files& files) : impl_(std::make_unique<Impl>(runtime, files)) {}
Catalog::~Catalog() = default;

awaitable<Result<void>> Catalog::load() {
  Impl& self = *impl_;
  std::vector<Stored> stored, models;
  auto read = [&]() -> Result<void> {
    ATELIER_TRY(stored, read_stored(self.files.data().catalog(), kInfoEnding));
    ATELIER_TRY(models, read_stored(self.files.data().catalog(), kModelsEnding));
    return {};
  };
  ATELIER_CO_TRY_VOID(co_await self.files.run(std::move(read)));
  const auto take = [&self](const std::vector<Stored>& all, auto parse_one, auto& into) -> awaitable<void> {
    for (const Stored& one : all) {
      auto work = [&one, parse_one] { return parse_one(one.hash, one.bytes); };
      auto parsed = co_await run_blocking(self.runtime.compute_pool(), std::move(work));
      if (parsed) {
        into.put(one.hash, std::move(*parsed));
      } else {
        log::warn("catalog_entry_skipped",
                  {{"hash", one.hash.hex().substr(0, 16)}, {"reason", parsed.error().what}});
      }
    }
  };
  co_await take(stored, parse, self.engines);
  co_await take(models, parse_models, self.models);
  self.merge();
  co_return Result<void>{};
}

awaitable<Result<void>> Catalog::add(Digest hash, std::shared_ptr<const std::string> bytes) {
  Impl& self = *impl_;
  auto work = [hash, bytes] { return parse(hash, *bytes); };
  ATELIER_CO_TRY(auto parsed, co_await run_blocking(self.runtime.compute_pool(), std::move(work)));
  auto write = [&self, hash, bytes] {
    return store(self.files, hash.hex() + std::string(kInfoEnding), *bytes);
  };
  ATELIER_CO_TRY_VOID(co_await self.files.run(std::move(write)));
  self.engines.put(hash, std::move(parsed));
  self.merge();
  co_return Result<void>{};
}

awaitable<Result<void>> Catalog::add_models(Digest hash, std::shared_ptr<const std::string> bytes) {
  Impl& self = *impl_;
  auto work = [hash, bytes] { return parse_models(hash, *bytes); };
  ATELIER_CO_TRY(auto parsed, co_await run_blocking(self.runtime.compute_pool(), std::move(work)));
  self.old_models.erase(hash);
  const std::vector<Digest> gone = self.models.put(hash, std::move(parsed), self.expected_at);
  auto write = [&self, hash, bytes, gone]() -> Result<void> {
    // They change with each file that comes or goes: those that nobody has any more would fill the disk.
    for (const Digest& old : gone)
      (void)self.files.data().catalog().remove_file(old.hex() + std::string(kModelsEnding));
    return store(self.files, hash.hex() + std::string(kModelsEnding), *bytes);
  };
  if (auto stored = co_await self.files.run(std::move(write)); !stored)
    log::warn("models_not_stored", {{"hash", hash.hex().substr(0, 16)}, {"reason", stored.error().what}});
  co_return Result<void>{};
}

awaitable<void> Catalog::drop_old_models() {
  Impl& self = *impl_;
  const Instant now = self.runtime.now();
  std::erase_if(self.expected_at, [now](const auto& entry) { return now - entry.second > kExpected; });
  std::set<Digest> gone, expected;
  for (const Digest& hash : std::exchange(self.old_models, {})) {
    if (self.models.of.present.contains(hash) || self.models.of.away.contains(hash)) continue;
    (self.expected_at.contains(hash) ? expected : gone).insert(hash);
  }
  self.old_models = std::move(expected);
  if (gone.empty()) co_return;
  for (const Digest& hash : gone) {
    self.models.known.erase(hash);
    std::erase(self.models.order, hash);
  }
  auto remove = [&self, gone]() -> Result<void> {
    for (const Digest& hash : gone)
      (void)self.files.data().catalog().remove_file(hash.hex() + std::string(kModelsEnding));
    return {};
  };
  (void)co_await self.files.run(std::move(remove));
}

bool Catalog::knows(const Digest& hash) const {
  return impl_->engines.known.contains(hash) || impl_->models.known.contains(hash);
}

bool Catalog::expect(const Digest& hash) {
  Impl& self = *impl_;
  if (self.models.known.contains(hash)) self.expected_at[hash] = self.runtime.now();
  return knows(hash);
}

std::shared_ptr<const comfy::EngineAbility> Catalog::ability(const Digest& hash) const {
  const auto found = impl_->engines.known.find(hash);
  return found == impl_->engines.known.end() ? nullptr : found->second.ability;
}

void Catalog::set_connected(std::map<std::string, std::set<Digest>> workers) {
  Impl& self = *impl_;
  // Time counts while somebody is here: after a line that broke for all they do not come back at once.
  const bool nobody = std::ranges::none_of(
      self.workers, [](const auto& entry) { return !entry.second.away_since.has_value(); });
  for (auto& [name, hashes] : workers) {
    Impl::Worker worker;
    for (const Digest& hash : hashes) {
      if (self.engines.known.contains(hash)) worker.has.insert(hash);
      if (self.models.known.contains(hash)) worker.models.insert(hash);
    }
    hashes = worker.has;
    if (!hashes.empty()) self.workers.insert_or_assign(name, std::move(worker));
  }
  for (auto& [name, worker] : self.workers) {
    const auto found = workers.find(name);
    const bool here = found != workers.end() && !found->second.empty();
    if (!here && (nobody || !worker.away_since)) worker.away_since = self.runtime.now();
  }
  self.update();
}

void Catalog::forget(std::string_view worker) {
  if (const auto found = impl_->workers.find(worker); found != impl_->workers.end()) {
    impl_->workers.erase(found);
    impl_->update();
  }
}

std::shared_ptr<const comfy::ObjectInfo> Catalog::object_info() const {
  impl_->expire();
  return impl_->merged;
}

std::size_t Catalog::engines_connected() const { return impl_->engines.of.present.size(); }

std::vector<std::shared_ptr<const comfy::ModelLists>> Catalog::models() const {
  Impl& self = *impl_;
  self.expire();
  std::vector<Models> lists;
  for (const Digest& hash : self.models.in_union(self.before_first()))
    lists.push_back(self.models.known.at(hash));
  return lists;
}

std::uint64_t Catalog::generation() const {
  impl_->expire();
  return impl_->generation;
}

}  // namespace atelier::gateway
