// SPDX-License-Identifier: MIT
#include "files/part_file.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>
#include <utility>

namespace atelier::files {
namespace {

constexpr int kTriesMax = 1000;

enum class Lock { ours, another_has_it, unknown_here };

/// Where the file system knows no locks nobody takes what may be another's.
Lock lock(int fd) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return Lock::ours;
  return errno == EWOULDBLOCK ? Lock::another_has_it : Lock::unknown_here;
}

/// Whoever had the lock before may have removed the file, or given it its name.
bool is_still(const Directory& folder, const std::string& name, int fd) {
  const auto opened = stat_of(fd), named = stat_at(folder.fd(), name.c_str());
  return opened && named && opened->key.inode == named->key.inode && opened->key.device == named->key.device;
}

std::string part_name(const Digest& digest) { return fmt::format("{}-{}", digest.hex(), fresh_temp_name()); }

}  // namespace

Result<TempFile> begin_part(const Directory& folder, const Digest& digest, std::uint64_t bytes_max) {
  for (int attempt = 0;; ++attempt) {
    std::string name = part_name(digest);
    auto fd = folder.create_file(name);
    if (!fd && (fd.error().code != Errc::conflict || attempt >= kTriesMax))
      return std::unexpected(std::move(fd).error());
    if (!fd) continue;
    const Lock locked = lock(fd->get());
    const bool swept =
        locked == Lock::another_has_it || (locked == Lock::ours && !is_still(folder, name, fd->get()));
    if (swept && attempt < kTriesMax) continue;
    TempFile part(folder, std::move(name), std::move(*fd), bytes_max);
    part.stays_ = true;
    return part;
  }
}

Result<std::optional<TempFile>> take_part(const Directory& folder, const Digest& digest,
                                          std::uint64_t bytes_max) {
  ATELIER_TRY(Listing listing, folder.list("", {}));
  std::erase_if(listing.entries, [prefix = digest.hex() + '-'](const Entry& entry) {
    return entry.kind != EntryKind::file || entry.stat.size() == 0 || !entry.path.starts_with(prefix);
  });
  std::ranges::sort(listing.entries, std::greater(), [](const Entry& entry) { return entry.stat.size(); });
  for (Entry& entry : listing.entries) {
    auto fd = folder.open_for_append(entry.path);
    if (!fd || lock(fd->get()) != Lock::ours) continue;
    const auto stat = stat_of(fd->get());
    if (!stat || !is_still(folder, entry.path, fd->get())) continue;
    TempFile part(folder, std::move(entry.path), std::move(*fd), bytes_max);
    if (stat->size() == 0 || stat->size() > bytes_max) continue;  // it goes with the object
    part.stays_ = true;
    part.unread_until_ = stat->size();
    return part;
  }
  return std::nullopt;
}

Result<std::size_t> sweep_parts(const Directory& folder, WallTime now, milliseconds age) {
  ATELIER_TRY(const Listing listing, folder.list("", {.with_dotfiles = true}));
  std::size_t removed = 0;
  for (const Entry& entry : listing.entries) {
    const std::int64_t changed_ms = entry.stat.key.modified_ns / 1'000'000;
    if (entry.kind != EntryKind::file || changed_ms > now.ms - age.count()) continue;
    const auto file = folder.open_file(entry.path);
    if (!file || lock(file->fd()) != Lock::ours || !is_still(folder, entry.path, file->fd())) continue;
    if (folder.remove_file(entry.path)) ++removed;
  }
  return removed;
}

}  // namespace atelier::files
