// SPDX-License-Identifier: MIT
#include "files/digest_cache.hpp"

namespace atelier::files {

std::optional<Digest> DigestCache::find(const FileKey& key) const {
  const std::scoped_lock lock(mutex_);
  const auto found = digests_.find(key);
  if (found == digests_.end()) return std::nullopt;
  return found->second;
}

void DigestCache::put(const FileKey& key, const Digest& digest) {
  const std::scoped_lock lock(mutex_);
  if (entries_max_ == 0) return;
  if (!digests_.insert_or_assign(key, digest).second) return;
  order_.push_back(key);
  if (order_.size() > entries_max_) {
    digests_.erase(order_.front());
    order_.pop_front();
  }
}

void DigestCache::put_if_settled(const FileKey& key, const Digest& digest, std::int64_t now_ns) {
  constexpr std::int64_t kSettled = 2'000'000'000;
  if (now_ns - key.modified_ns >= kSettled) put(key, digest);
}

}  // namespace atelier::files
