// SPDX-License-Identifier: MIT
#pragma once
// Remembers digests of files by (device, inode, size, mtime), so that a file is hashed once. Any thread;
// bounded (the oldest entries go). Lost at restart, which costs one more reading.

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include "base/hash.hpp"
#include "files/file_descriptor.hpp"

namespace atelier::files {

class DigestCache {
 public:
  explicit DigestCache(std::size_t entries_max = 65'536) : entries_max_(entries_max) {}
  [[nodiscard]] std::optional<Digest> find(const FileKey& key) const;
  void put(const FileKey& key, const Digest& digest);
  /// put(), unless the file was modified less than two seconds before `now_ns`: its next change could carry
  /// the same mtime and stay unseen.
  void put_if_settled(const FileKey& key, const Digest& digest, std::int64_t now_ns);

 private:
  const std::size_t entries_max_;
  mutable std::mutex mutex_;
  std::map<FileKey, Digest> digests_;
  std::deque<FileKey> order_;
};

}  // namespace atelier::files
