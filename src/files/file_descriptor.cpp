// SPDX-License-Identifier: MIT
#include "files/file_descriptor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "files/fault_points.hpp"

namespace atelier::files {
namespace {

std::int64_t nanoseconds(const struct statx_timestamp& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool FileStat::is_regular() const { return S_ISREG(mode); }
bool FileStat::is_directory() const { return S_ISDIR(mode); }

Result<FileStat> stat_at(int folder_fd, const char* name) {
  struct statx raw{};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
  if (::statx(folder_fd, name, flags, STATX_BASIC_STATS | STATX_BTIME, &raw) != 0) {
    return std::unexpected(errno_error(errno, fmt::format("stat \"{}\"", name)));
  }
  FileStat stat;
  stat.key.device = makedev(raw.stx_dev_major, raw.stx_dev_minor);
  stat.key.inode = raw.stx_ino;
  stat.key.size = raw.stx_size;
  stat.key.modified_ns = nanoseconds(raw.stx_mtime);
  stat.changed_ns = nanoseconds(raw.stx_ctime);
  stat.created_ns = (raw.stx_mask & STATX_BTIME) != 0 ? nanoseconds(raw.stx_btime) : stat.key.modified_ns;
  stat.mode = raw.stx_mode;
  stat.links = raw.stx_nlink;
  stat.owner = raw.stx_uid;
  return stat;
}

Result<FileStat> stat_of(int fd) { return stat_at(fd, ""); }

Result<std::size_t> File::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t count =
        ::pread(fd_.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno_error(errno, "read a file"));
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<std::string> File::read_all(std::uint64_t bytes_max) const {
  std::string content;
  constexpr std::size_t kStep = std::size_t{64} << 10;
  std::size_t step = static_cast<std::size_t>(std::min<std::uint64_t>(stat_.size(), bytes_max)) + 1;
  while (true) {
    const std::size_t old_size = content.size();
    content.resize(old_size + std::exchange(step, kStep));
    ATELIER_TRY(const std::size_t count,
                read_at(old_size, std::as_writable_bytes(std::span(content)).subspan(old_size)));
    const bool at_end = old_size + count < content.size();
    content.resize(old_size + count);
    if (content.size() > bytes_max) break;
    if (at_end) return content;
  }
  return fail(Errc::too_large, fmt::format("the file is larger than {} bytes", bytes_max));
}

Result<void> write_all_at(int fd, std::uint64_t offset, std::string_view bytes) {
  if (const int injected = fault_at("write")) return std::unexpected(errno_error(injected, "write a file"));
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    // EFBIG: RLIMIT_FSIZE or the file system's own limit; for the person it is the same as a full disk.
    if (count < 0) return std::unexpected(errno_error(errno == EFBIG ? ENOSPC : errno, "write a file"));
    offset += static_cast<std::uint64_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<void> sync(int fd, std::string_view what) {
  if (const int injected = fault_at("sync")) return std::unexpected(errno_error(injected, what));
  if (::fsync(fd) != 0) return std::unexpected(errno_error(errno, what));
  return {};
}

}  // namespace atelier::files
