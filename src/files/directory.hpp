// SPDX-License-Identifier: MIT
#pragma once
// A folder by descriptor. Every path is relative to it, checked (safe_path.hpp), and opened with
// openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), so that a link or a swapped folder
// inside is refused by the kernel (reliability.md B4 69, 70). Handles are cheap to copy and safe to use from
// several threads at once: each call is on its own. Every function blocks and belongs on the file pool.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "files/file_descriptor.hpp"

namespace atelier::files {

enum class EntryKind {
  file,
  folder,
  unsupported
};  // unsupported: link, FIFO, device, socket, somebody else's hard link

struct Entry {
  std::string path;  // relative to the listed folder
  EntryKind kind = EntryKind::file;
  FileStat stat;
};

struct ListLimits {
  std::size_t entries_max = 100'000;
  std::size_t depth_max = 1;   // 1 = this folder only
  bool with_dotfiles = false;  // else names that begin with a dot are neither listed nor entered
};

struct Listing {
  std::vector<Entry> entries;  // sorted by path, byte order
  bool truncated = false;      // entries_max was reached
};

enum class Replace { no, yes };

class Directory {
 public:
  Directory() = default;
  /// A folder that the operator named; links in `path` are followed. Error not_found, forbidden, io.
  [[nodiscard]] static Result<Directory> open_root(const std::string& path);
  /// Error config: the kernel has no openat2 (Linux 5.6), or a filter forbids it.
  [[nodiscard]] static Result<void> check_kernel();

  explicit operator bool() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int fd() const { return fd_ ? fd_->get() : -1; }

  /// A folder below; "" gives this one. Errors not_found, forbidden (leaves the folder, or a link is in the
  /// way), bad_request.
  [[nodiscard]] Result<Directory> open_folder(std::string_view path) const;
  /// The same, making what is missing (mode 0755) and syncing each parent that got an entry.
  [[nodiscard]] Result<Directory> make_folder(std::string_view path) const;

  /// A regular file for reading. Error not_found (also for a folder), forbidden (a link), unsupported (FIFO,
  /// device, socket, a hard link that belongs to another user). Never blocks on a FIFO.
  [[nodiscard]] Result<File> open_file(std::string_view path) const;
  /// What stands there, links not followed. Error not_found, bad_request, forbidden.
  [[nodiscard]] Result<Entry> stat(std::string_view path) const;
  [[nodiscard]] Result<bool> exists(std::string_view path) const;
  [[nodiscard]] Result<Listing> list(std::string_view path, const ListLimits& limits) const;

  /// Removes a file (or a link, itself). With `sync_folder` the folder is synced. Error not_found; a folder:
  /// conflict.
  [[nodiscard]] Result<void> remove_file(std::string_view path) const;
  /// Removes a folder and all in it; nothing there is fine. Links are removed, not followed. Bounded by
  /// depth 64.
  [[nodiscard]] Result<void> remove_tree(std::string_view path) const;
  /// Moves a name of this folder (no path) to `target_name` in `target`, syncs both folders. Error conflict
  /// if taken and Replace::no, or if one is a folder and the other a file; not_found.
  [[nodiscard]] Result<void> move(std::string_view name, const Directory& target,
                                  std::string_view target_name, Replace replace) const;
  /// A hard link; never replaces. Does not sync. Error conflict if taken; forbidden (other device, not
  /// allowed), unsupported (too many links, or none here).
  [[nodiscard]] Result<void> link(std::string_view name, const Directory& target,
                                  std::string_view target_name) const;
  /// fsync of the folder itself: names that came or went are durable after it.
  [[nodiscard]] Result<void> sync() const;

  /// For files that grow (staging): opens for reading and writing, makes it if missing (mode 0600). Not for
  /// names that a participant can see: those are made by TempFile and moved.
  [[nodiscard]] Result<FileDescriptor> open_for_append(std::string_view path) const;
  /// A new file (O_EXCL, mode 0600). Error conflict if the name is taken.
  [[nodiscard]] Result<FileDescriptor> create_file(std::string_view path) const;

 private:
  explicit Directory(FileDescriptor fd) : fd_(std::make_shared<const FileDescriptor>(std::move(fd))) {}
  std::shared_ptr<const FileDescriptor> fd_;
};

}  // namespace atelier::files
