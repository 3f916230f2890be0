// SPDX-License-Identifier: MIT
#include "gateway/catalog/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <vector>

#include "base/log.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kStoredMax = 16;  // beside those of connected engines
constexpr std::uint64_t kBytesMax = 64u << 20;
// How long a worker that is away stays in the union: longer than a machine needs to start again.
constexpr milliseconds kStays{10 * 60'000};

struct Parsed {
  std::shared_ptr<const comfy::ObjectInfo> info;
  std::shared_ptr<const comfy::EngineAbility> ability;
};

Result<Parsed> parse(const Digest& hash, std::string_view bytes) {
  if (sha256(bytes) != hash) return fail(Errc::bad_hash, "object_info differs from its hash");
  ATELIER_TRY(auto info, comfy::ObjectInfo::parse(bytes));
  Parsed parsed;
  parsed.ability = std::make_shared<const comfy::EngineAbility>(comfy::ability_of(info));
  parsed.info = std::make_shared<const comfy::ObjectInfo>(std::move(info));
  return parsed;
}

}  // namespace

struct Catalog::Impl {
  Impl(Runtime& r, files::Files& f) : runtime(r), files(f) {}
  /// What each worker had when it was last heard of.
  struct Worker {
    std::set<Digest> has;
    std::optional<Instant> away_since;  // or its ComfyUI has not answered since
  };
  struct Union {
    std::set<Digest> present, away;
    bool operator==(const Union&) const = default;
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
  void merge();

  Runtime& runtime;
  files::Files& files;
  std::map<Digest, Parsed> known;
  std::vector<Digest> order;  // newest last
  std::map<std::string, Worker, std::less<>> workers;
  Union of;  // what is merged; nothing before the first worker
  std::shared_ptr<const comfy::ObjectInfo> merged = std::make_shared<const comfy::ObjectInfo>();
  std::uint64_t generation = 0;
};

void Catalog::Impl::merge() {
  std::vector<comfy::ObjectInfo> parts;
  for (const Digest& hash : order) {
    if (of.present.contains(hash)) parts.push_back(*known.at(hash).info);
  }
  // Who is here describes what several have.
  for (auto hash = order.rbegin(); hash != order.rend(); ++hash) {
    if (of.away.contains(*hash)) parts.push_back(*known.at(*hash).info);
  }
  // Before the first one comes editors work with what earlier ones could do.
  if (parts.empty()) {
    for (auto hash = order.rbegin(); hash != order.rend(); ++hash) parts.push_back(*known.at(*hash).info);
  }
  merged = std::make_shared<const comfy::ObjectInfo>(parts.size() == 1 ? parts.front()
                                                                       : comfy::ObjectInfo::merge(parts));
  ++generation;
}

void Catalog::Impl::update() {
  Union next;
  for (const auto& [name, worker] : workers) {
    if (!worker.away_since) next.present.insert(worker.has.begin(), worker.has.end());
  }
  if (next.present.empty()) return;  // the editors keep the union that they have
  std::erase_if(workers, [this](const auto& entry) { return is_over(entry.second); });
  for (const auto& [name, worker] : workers)
    std::ranges::set_difference(worker.has, next.present, std::inserter(next.away, next.away.end()));
  if (next == of) return;
  of = std::move(next);
  merge();
}

Catalog::Catalog(Runtime& runtime, files::Files& files) : impl_(std::make_unique<Impl>(runtime, files)) {}
Catalog::~Catalog() = default;

awaitable<Result<void>> Catalog::load() {
  Impl& self = *impl_;
  struct Stored {
    std::int64_t modified;
    Digest hash;
    std::string bytes;
  };
  auto read = [&self]() -> Result<std::vector<Stored>> {
    ATELIER_TRY(const auto listing, self.files.data().catalog().list("", {}));
    std::vector<Stored> stored;
    for (const files::Entry& entry : listing.entries) {
      if (entry.kind != files::EntryKind::file || !entry.path.ends_with(".json")) continue;
      auto hash = Digest::parse(std::string_view(entry.path).substr(0, entry.path.size() - 5));
      if (!hash) continue;
      stored.push_back(Stored{entry.stat.key.modified_ns, *hash, {}});
    }
    std::ranges::sort(stored, {}, &Stored::modified);
    if (stored.size() > kStoredMax)
      stored.erase(stored.begin(), stored.end() - static_cast<std::ptrdiff_t>(kStoredMax));
    for (Stored& one : stored) {
      ATELIER_TRY(const auto file, self.files.data().catalog().open_file(one.hash.hex() + ".json"));
      ATELIER_TRY(one.bytes, file.read_all(kBytesMax));
    }
    return stored;
  };
  ATELIER_CO_TRY(const auto stored, co_await self.files.run(std::move(read)));
  for (const Stored& one : stored) {
    auto work = [&one] { return parse(one.hash, one.bytes); };
    auto parsed = co_await run_blocking(self.runtime.compute_pool(), std::move(work));
    if (!parsed) {
      log::warn("catalog_entry_skipped",
                {{"hash", one.hash.hex().substr(0, 16)}, {"reason", parsed.error().what}});
      continue;
    }
    self.known.emplace(one.hash, std::move(*parsed));
    self.order.push_back(one.hash);
  }
  self.merge();
  co_return Result<void>{};
}

awaitable<Result<void>> Catalog::add(Digest hash, std::shared_ptr<const std::string> bytes) {
  Impl& self = *impl_;
  auto work = [hash, bytes] { return parse(hash, *bytes); };
  ATELIER_CO_TRY(auto parsed, co_await run_blocking(self.runtime.compute_pool(), std::move(work)));
  auto store = [&self, hash, bytes] {
    return files::write_atomically(self.files.data().temp(), self.files.data().catalog(),
                                   hash.hex() + ".json", *bytes, files::FileMode::writable,
                                   files::Replace::yes);
  };
  ATELIER_CO_TRY_VOID(co_await self.files.run(std::move(store)));
  std::erase(self.order, hash);
  self.order.push_back(hash);
  self.known.insert_or_assign(hash, std::move(parsed));
  // Whoever brings one is about to say that an engine has it.
  const auto not_needed = [&](const Digest& h) {
    return h != hash && !self.of.present.contains(h) && !self.of.away.contains(h);
  };
  while (self.order.size() > kStoredMax + self.of.present.size() + self.of.away.size()) {
    const auto oldest = std::ranges::find_if(self.order, not_needed);
    if (oldest == self.order.end()) break;
    self.known.erase(*oldest);
    self.order.erase(oldest);
  }
  self.merge();
  co_return Result<void>{};
}

bool Catalog::knows(const Digest& hash) const { return impl_->known.contains(hash); }

std::shared_ptr<const comfy::EngineAbility> Catalog::ability(const Digest& hash) const {
  const auto found = impl_->known.find(hash);
  return found == impl_->known.end() ? nullptr : found->second.ability;
}

void Catalog::set_connected(std::map<std::string, std::set<Digest>> workers) {
  Impl& self = *impl_;
  // Time counts while somebody is here: after a line that broke for all they do not come back at once.
  const bool nobody = std::ranges::none_of(
      self.workers, [](const auto& entry) { return !entry.second.away_since.has_value(); });
  for (auto& [name, hashes] : workers) {
    std::erase_if(hashes, [&self](const Digest& hash) { return !self.known.contains(hash); });
    if (!hashes.empty()) self.workers.insert_or_assign(name, Impl::Worker{hashes, {}});
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

std::uint64_t Catalog::generation() const {
  impl_->expire();
  return impl_->generation;
}

}  // namespace atelier::gateway
