// SPDX-License-Identifier: MIT
#include "files/temp_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <span>
#include <vector>

#include "files/fault_points.hpp"

namespace atelier::files {
namespace {

std::atomic<std::uint64_t> g_counter{
    0};  // names need only be new in this process: the folder is emptied at start

mode_t mode_of(FileMode mode) {
  switch (mode) {
    case FileMode::read_only:
      return 0444;
    case FileMode::writable:
      return 0644;
    case FileMode::secret:
      return 0600;
  }
  return 0600;
}

}  // namespace

std::string fresh_temp_name() { return fmt::format("t-{}-{}", ::getpid(), g_counter.fetch_add(1)); }

TempFile::TempFile(Directory folder, std::string name, FileDescriptor fd, std::uint64_t bytes_max)
    : folder_(std::move(folder)), name_(std::move(name)), fd_(std::move(fd)), bytes_max_(bytes_max) {}

TempFile::TempFile(TempFile&& other) noexcept
    : folder_(std::move(other.folder_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::move(other.fd_)),
      hasher_(std::move(other.hasher_)),
      digest_(other.digest_),
      size_(other.size_),
      bytes_max_(other.bytes_max_),
      unread_until_(other.unread_until_),
      finished_(other.finished_),
      stays_(other.stays_) {}

TempFile& TempFile::operator=(TempFile&& other) noexcept {
  if (this == &other) return *this;
  let_go();
  folder_ = std::move(other.folder_);
  name_ = std::exchange(other.name_, {});
  fd_ = std::move(other.fd_);
  hasher_ = std::move(other.hasher_);
  digest_ = other.digest_;
  size_ = other.size_;
  bytes_max_ = other.bytes_max_;
  unread_until_ = other.unread_until_;
  finished_ = other.finished_;
  stays_ = other.stays_;
  return *this;
}

TempFile::~TempFile() { let_go(); }

void TempFile::let_go() {
  if (stays_ && std::max(size_, unread_until_) > 0) name_.clear();
  remove();
}

void TempFile::remove() {
  if (!name_.empty()) ::unlinkat(folder_.fd(), name_.c_str(), 0);  // else the sweep finds it
  name_.clear();
  fd_.reset();  // after its name: nobody takes a part that goes
}

Result<TempFile> TempFile::create(const Directory& temp_folder, std::uint64_t bytes_max) {
  for (int attempt = 0;; ++attempt) {
    std::string name = fresh_temp_name();
    auto fd = temp_folder.create_file(name);
    if (fd) return TempFile(temp_folder, std::move(name), std::move(*fd), bytes_max);
    if (fd.error().code != Errc::conflict || attempt >= 1000) return std::unexpected(std::move(fd).error());
  }
}

Result<TempFile> TempFile::clone(const Directory& temp_folder, const File& source,
                                 const Digest& known_digest) {
  ATELIER_TRY(TempFile copy, create(temp_folder, source.size()));
  ATELIER_TRY_VOID(copy.share_blocks(source, known_digest));
  return copy;
}

Result<void> TempFile::share_blocks(const File& source, const Digest& known_digest) {
  if (::ioctl(fd_.get(), FICLONE, source.fd()) != 0) {
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO) {
      return std::unexpected(errno_error(errno, "clone a file"));
    }
    return fail(Errc::unsupported, "this file system cannot share blocks between files");
  }
  ATELIER_TRY(const FileStat stat, stat_of(fd_.get()));
  if (known_digest) {
    digest_ = known_digest;
    size_ = stat.size();
    return {};
  }
  unread_until_ = stat.size();
  for (bool more = true; more;) {
    ATELIER_TRY(more, read_back(std::size_t{256} << 10));
  }
  return {};
}

Result<bool> TempFile::read_back(std::size_t bytes_max) {
  std::vector<std::byte> buffer(
      static_cast<std::size_t>(std::min<std::uint64_t>(bytes_max, unread_until_ - size_)));
  if (buffer.empty()) return false;
  ATELIER_TRY(const FileStat stat, stat_of(fd_.get()));
  FileDescriptor reader(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  const File written(std::move(reader), stat);
  ATELIER_TRY(const std::size_t count, written.read_at(size_, buffer));
  if (count == 0) return fail(Errc::io, "a file was cut while it was read back");
  hasher_.update(std::span<const std::byte>(buffer).first(count));
  size_ += count;
  return size_ < unread_until_;
}

Result<void> TempFile::write(std::string_view bytes) {
  if (finished_ || !fd_) return fail(Errc::internal, "a finished temp file was written to");
  if (size_ < unread_until_) return fail(Errc::internal, "a part was written to before it was read back");
  if (bytes.size() > bytes_max_ - size_) {
    return fail(Errc::too_large, fmt::format("the file is larger than {} bytes", bytes_max_));
  }
  ATELIER_TRY_VOID(write_all_at(fd_.get(), size_, bytes));
  hasher_.update(bytes);
  size_ += bytes.size();
  return {};
}

Result<void> TempFile::finish(FileMode mode) {
  if (finished_ || !fd_) return fail(Errc::internal, "a temp file was finished twice");
  if (::fchmod(fd_.get(), mode_of(mode)) != 0)
    return std::unexpected(errno_error(errno, "set a file's mode"));
  ATELIER_TRY_VOID(sync(fd_.get(), "sync a file"));
  if (!digest_) digest_ = hasher_.finish();
  finished_ = true;
  return {};
}

Result<FileKey> TempFile::key() const {
  ATELIER_TRY(const FileStat stat, stat_of(fd_.get()));
  return stat.key;
}

Result<File> TempFile::open() const {
  if (!finished_ || name_.empty())
    return fail(Errc::internal, "a temp file was opened before it was finished");
  return folder_.open_file(name_);
}

Result<void> TempFile::publish(const Directory& target, std::string_view name, Replace replace) {
  if (!finished_ || name_.empty())
    return fail(Errc::internal, "a temp file was published before it was finished");
  ATELIER_TRY_VOID(folder_.move(name_, target, name, replace));
  name_.clear();
  fd_.reset();
  return {};
}

Result<void> write_atomically(const Directory& temp_folder, const Directory& target, std::string_view name,
                              std::string_view bytes, FileMode mode, Replace replace) {
  ATELIER_TRY(TempFile file, TempFile::create(temp_folder, bytes.size()));
  ATELIER_TRY_VOID(file.write(bytes));
  ATELIER_TRY_VOID(file.finish(mode));
  return file.publish(target, name, replace);
}

}  // namespace atelier::files
