// SPDX-License-Identifier: MIT
#include "gateway/catalog/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/log.hpp"

namespace atelier::gateway {
namespace {

constexpr std::size_t kStoredMax = 16;  // beside those of connected engines
constexpr std::uint64_t kBytesMax = 64u << 20;

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
  void merge();

  Runtime& runtime;
  files::Files& files;
  std::map<Digest, Parsed> known;
  std::vector<Digest> order;  // newest last
  std::set<Digest> connected;
  std::shared_ptr<const comfy::ObjectInfo> merged = std::make_shared<const comfy::ObjectInfo>();
  std::uint64_t generation = 0;
};

void Catalog::Impl::merge() {
  std::vector<comfy::ObjectInfo> parts;
  for (const Digest& hash : order) {
    if (connected.contains(hash)) parts.push_back(*known.at(hash).info);
  }
  // While no engine is connected editors go on working with what the last ones could do.
  if (parts.empty()) {
    for (auto hash = order.rbegin(); hash != order.rend(); ++hash) parts.push_back(*known.at(*hash).info);
  }
  merged = std::make_shared<const comfy::ObjectInfo>(parts.size() == 1 ? parts.front()
                                                                       : comfy::ObjectInfo::merge(parts));
  ++generation;
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
  const auto not_needed = [&](const Digest& h) { return h != hash && !self.connected.contains(h); };
  while (self.order.size() > kStoredMax + self.connected.size()) {
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

void Catalog::set_connected(std::set<Digest> hashes) {
  std::erase_if(hashes, [this](const Digest& hash) { return !impl_->known.contains(hash); });
  if (hashes == impl_->connected) return;
  const bool empty_before = impl_->connected.empty();
  impl_->connected = std::move(hashes);
  // The last worker went: the editors keep the union that they have.
  if (impl_->connected.empty() && !empty_before) return;
  impl_->merge();
}

std::shared_ptr<const comfy::ObjectInfo> Catalog::object_info() const { return impl_->merged; }
std::uint64_t Catalog::generation() const { return impl_->generation; }

}  // namespace atelier::gateway
