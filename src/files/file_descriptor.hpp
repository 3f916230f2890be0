// SPDX-License-Identifier: MIT
#pragma once
// An owned descriptor, and File: an open regular file with what fstat said of it. Every function blocks and
// belongs on the file pool; objects are used by one thread at a time.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.hpp"

namespace atelier::files {

class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int owned) : fd_(owned) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { reset(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

/// What identifies the content of a file without reading it. `modified_ns` is Unix time in nanoseconds.
struct FileKey {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0;
  auto operator<=>(const FileKey&) const = default;
};

struct FileStat {
  FileKey key;
  std::int64_t changed_ns = 0;  // ctime: also moves when a name of the file comes or goes
  std::int64_t created_ns = 0;  // birth, or the modification where the file system has none
  std::uint32_t mode = 0;       // st_mode
  std::uint32_t links = 0;
  std::uint32_t owner = 0;
  [[nodiscard]] std::uint64_t size() const { return key.size; }
  [[nodiscard]] bool is_regular() const;
  [[nodiscard]] bool is_directory() const;
};

/// statx of an open descriptor. Error io.
[[nodiscard]] Result<FileStat> stat_of(int fd);
/// statx of a name in a folder, links not followed. Only for one checked component, or a
/// path that was listed before and is only compared. Errors not_found,
/// forbidden, io.
[[nodiscard]] Result<FileStat> stat_at(int folder_fd, const char* name);

/// An open regular file.
class File {
 public:
  File() = default;
  File(FileDescriptor fd, const FileStat& file_stat) : fd_(std::move(fd)), stat_(file_stat) {}
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] FileDescriptor take() && { return std::move(fd_); }  // for sendfile on the caller's side
  /// As it was when the file was opened.
  [[nodiscard]] const FileStat& stat() const { return stat_; }
  [[nodiscard]] std::uint64_t size() const { return stat_.size(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

  /// Bytes read into `into` from `offset`; 0 at the end. Never short before the end. Error io.
  [[nodiscard]] Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) const;
  /// The whole content. Error too_large above `bytes_max`.
  [[nodiscard]] Result<std::string> read_all(std::uint64_t bytes_max) const;

 private:
  FileDescriptor fd_;
  FileStat stat_;
};

/// Writes all of `bytes` at `offset`. Errors: disk_full, io.
[[nodiscard]] Result<void> write_all_at(int fd, std::uint64_t offset, std::string_view bytes);
/// fsync. A failure is final: the caller must not try again on this file (reliability.md B1 3). Error io or
/// disk_full.
[[nodiscard]] Result<void> sync(int fd, std::string_view what);

}  // namespace atelier::files
