// SPDX-License-Identifier: MIT
#include "files/directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "files/fault_points.hpp"
#include "files/safe_path.hpp"

namespace atelier::files {
namespace {

constexpr std::size_t kRemoveDepthMax = 64;
constexpr int kRaceRetries = 64;

int openat2_raw(int folder, const char* path, std::uint64_t flags, std::uint64_t mode) {
  struct open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how));
}

/// `path` is checked, or one component. Errors by errno_error; too long names are bad_request.
Result<FileDescriptor> open_beneath(int folder, std::string_view path, std::uint64_t flags,
                                    std::uint64_t mode = 0) {
  const std::string text(path);
  for (int attempt = 0;; ++attempt) {
    const int fd = openat2_raw(folder, text.c_str(), flags, mode);
    if (fd >= 0) return FileDescriptor(fd);
    if (errno == EINTR) continue;
    // EAGAIN: a rename raced with the walk, so the kernel could not tell whether the path stayed inside.
    if (errno == EAGAIN && attempt < kRaceRetries) continue;
    if (errno == ENAMETOOLONG) return fail(Errc::bad_request, "the file name is too long");
    if (errno == EAGAIN) return fail(Errc::unavailable, fmt::format("\"{}\" is being moved about", path));
    return std::unexpected(errno_error(errno, fmt::format("open \"{}\"", path)));
  }
}

Result<FileDescriptor> open_directory(int folder, std::string_view path) {
  return open_beneath(folder, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
}

EntryKind kind_of(const FileStat& stat) {
  if (stat.is_directory()) return EntryKind::folder;
  // A hard link to somebody else's file can only have been left by root (reliability.md B4 69). Links of our
  // own are how blobs get their names, and what "cp -al" of a backup makes.
  if (stat.is_regular() && (stat.links <= 1 || stat.owner == ::geteuid())) return EntryKind::file;
  return EntryKind::unsupported;
}

class DirectoryStream {
 public:
  /// Takes a descriptor of its own, so that the position is not shared with others.
  static Result<DirectoryStream> open(int folder, std::string_view path) {
    ATELIER_TRY(FileDescriptor fd, open_directory(folder, path));
    DIR* stream = ::fdopendir(fd.get());
    if (stream == nullptr) return std::unexpected(errno_error(errno, fmt::format("list \"{}\"", path)));
    static_cast<void>(fd.release());
    return DirectoryStream(stream);
  }
  DirectoryStream(DirectoryStream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  DirectoryStream& operator=(DirectoryStream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~DirectoryStream() {
    if (stream_ != nullptr) ::closedir(stream_);
  }
  [[nodiscard]] int fd() const { return ::dirfd(stream_); }
  /// Null at the end; "." and ".." are left out. Error io.
  Result<const char*> next() {
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream_);  // NOLINT(concurrency-mt-unsafe): the stream is ours alone
      if (entry == nullptr) {
        if (errno != 0) return std::unexpected(errno_error(errno, "list a folder"));
        return nullptr;
      }
      const std::string_view name = static_cast<const char*>(entry->d_name);
      if (name != "." && name != "..") return static_cast<const char*>(entry->d_name);
    }
  }

 private:
  explicit DirectoryStream(DIR* stream) : stream_(stream) {}
  DIR* stream_;
};

Result<void> list_into(int folder, const std::string& path, const std::string& prefix, std::size_t depth,
                       const ListLimits& limits, Listing& listing) {
  ATELIER_TRY(DirectoryStream stream, DirectoryStream::open(folder, path));
  while (true) {
    ATELIER_TRY(const char* name, stream.next());
    if (name == nullptr) return {};
    if (!limits.with_dotfiles && name[0] == '.') continue;
    if (!is_utf8(name)) continue;  // it could not be asked for either
    if (listing.entries.size() >= limits.entries_max) {
      listing.truncated = true;
      return {};
    }
    auto stat = stat_at(stream.fd(), name);
    if (!stat) {
      if (stat.error().code == Errc::not_found) continue;  // gone meanwhile
      return std::unexpected(std::move(stat).error());
    }
    const Entry entry{join_path(prefix, name), kind_of(*stat), *stat};
    listing.entries.push_back(entry);
    if (entry.kind != EntryKind::folder || depth <= 1) continue;
    auto below = list_into(stream.fd(), name, entry.path, depth - 1, limits, listing);
    if (!below && below.error().code != Errc::not_found && below.error().code != Errc::forbidden)
      return below;
  }
}

Result<void> remove_contents(int folder, const std::string& name, std::size_t depth) {
  if (depth == 0) return fail(Errc::too_large, "the folder is too deep to be removed");
  std::vector<std::string> names;
  ATELIER_TRY(DirectoryStream stream, DirectoryStream::open(folder, name));
  while (true) {
    ATELIER_TRY(const char* entry, stream.next());
    if (entry == nullptr) break;
    names.emplace_back(entry);
  }
  for (const std::string& entry : names) {
    if (::unlinkat(stream.fd(), entry.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) {
      return std::unexpected(errno_error(errno, fmt::format("remove \"{}\"", entry)));
    }
    ATELIER_TRY_VOID(remove_contents(stream.fd(), entry, depth - 1));
    if (::unlinkat(stream.fd(), entry.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return std::unexpected(errno_error(errno, fmt::format("remove \"{}\"", entry)));
    }
  }
  return {};
}

}  // namespace

Result<Directory> Directory::open_root(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return std::unexpected(errno_error(errno, fmt::format("open \"{}\"", path)));
  return Directory(FileDescriptor(fd));
}

Result<void> Directory::check_kernel() {
  const int fd = openat2_raw(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);
  const int error = errno;
  if (fd >= 0) {
    ::close(fd);
    return {};
  }
  if (error == ENOSYS || error == EPERM) {
    return fail(Errc::config,
                "the system call openat2 is missing or forbidden here: Linux 5.6 or newer is needed "
                "(and, in a container, a seccomp profile that knows it)");
  }
  return {};  // the working directory is unreadable, which says nothing about the kernel
}

Result<Directory> Directory::open_folder(std::string_view path) const {
  ATELIER_TRY(const std::string folder, check_folder(path));
  if (folder.empty()) return *this;
  ATELIER_TRY(FileDescriptor fd, open_directory(this->fd(), folder));
  return Directory(std::move(fd));
}

Result<Directory> Directory::make_folder(std::string_view path) const {
  auto there = open_folder(path);
  if (there || there.error().code != Errc::not_found) return there;
  ATELIER_TRY(const std::string folder, check_folder(path));
  Directory at = *this;
  std::string_view rest = folder;
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    const std::string name(rest.substr(0, slash));
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    if (const int injected = fault_at("mkdir")) {
      return std::unexpected(errno_error(injected, fmt::format("make the folder \"{}\"", name)));
    }
    const bool made = ::mkdirat(at.fd(), name.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) {
      return std::unexpected(errno_error(errno, fmt::format("make the folder \"{}\"", name)));
    }
    if (made) ATELIER_TRY_VOID(at.sync());
    auto below = open_directory(at.fd(), name);
    if (!below) {
      if (below.error().code == Errc::not_found) {
        return fail(Errc::conflict, fmt::format("\"{}\" is a file, not a folder", name));
      }
      return std::unexpected(std::move(below).error());
    }
    at = Directory(std::move(*below));
  }
  return at;
}

Result<File> Directory::open_file(std::string_view path) const {
  ATELIER_TRY_VOID(check_path(path));
  // First without opening what stands there: to open a device or a FIFO has effects of its own.
  ATELIER_TRY(FileDescriptor look, open_beneath(fd(), path, O_PATH));
  ATELIER_TRY(const FileStat first, stat_of(look.get()));
  const auto refuse = [&](const FileStat& stat) -> Error {
    if (stat.is_directory()) return {Errc::not_found, fmt::format("\"{}\" is a folder", path)};
    return {Errc::unsupported, fmt::format("\"{}\" is not an ordinary file of ours", path)};
  };
  if (kind_of(first) != EntryKind::file) return std::unexpected(refuse(first));
  ATELIER_TRY(FileDescriptor opened, open_beneath(fd(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  ATELIER_TRY(const FileStat second, stat_of(opened.get()));
  if (kind_of(second) != EntryKind::file) return std::unexpected(refuse(second));
  return File(std::move(opened), second);
}

Result<Entry> Directory::stat(std::string_view path) const {
  ATELIER_TRY_VOID(check_path(path));
  const SplitPath split = split_path(path);
  ATELIER_TRY(const Directory parent, open_folder(split.folder));
  ATELIER_TRY(const FileStat file_stat, stat_at(parent.fd(), std::string(split.name).c_str()));
  return Entry{std::string(path), kind_of(file_stat), file_stat};
}

Result<bool> Directory::exists(std::string_view path) const {
  auto entry = stat(path);
  if (entry) return true;
  if (entry.error().code == Errc::not_found) return false;
  return std::unexpected(std::move(entry).error());
}

Result<Listing> Directory::list(std::string_view path, const ListLimits& limits) const {
  ATELIER_TRY(const std::string folder, check_folder(path));
  Listing listing;
  ATELIER_TRY_VOID(list_into(fd(), folder, "", std::min(limits.depth_max, kPathDepthMax), limits, listing));
  std::ranges::sort(listing.entries, {}, &Entry::path);
  return listing;
}

Result<void> Directory::remove_file(std::string_view path) const {
  ATELIER_TRY_VOID(check_path(path));
  const SplitPath split = split_path(path);
  ATELIER_TRY(const Directory parent, open_folder(split.folder));
  if (::unlinkat(parent.fd(), std::string(split.name).c_str(), 0) != 0) {
    if (errno == EISDIR || errno == EPERM)
      return fail(Errc::conflict, fmt::format("\"{}\" is a folder", path));
    return std::unexpected(errno_error(errno, fmt::format("remove \"{}\"", path)));
  }
  return parent.sync();
}

Result<void> Directory::remove_tree(std::string_view path) const {
  ATELIER_TRY_VOID(check_path(path));
  const SplitPath split = split_path(path);
  auto parent = open_folder(split.folder);
  if (!parent && parent.error().code == Errc::not_found) return {};
  if (!parent) return std::unexpected(std::move(parent).error());
  const std::string name(split.name);
  if (::unlinkat(parent->fd(), name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (auto gone = remove_contents(parent->fd(), name, kRemoveDepthMax); !gone) {
    if (gone.error().code == Errc::not_found) return {};
    return gone;
  }
  if (::unlinkat(parent->fd(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return std::unexpected(errno_error(errno, fmt::format("remove \"{}\"", path)));
  }
  return parent->sync();
}

Result<void> Directory::move(std::string_view name, const Directory& target, std::string_view target_name,
                             Replace replace) const {
  ATELIER_TRY_VOID(check_name(name));
  ATELIER_TRY_VOID(check_name(target_name));
  const std::string from(name);
  const std::string to(target_name);
  const std::string doing = fmt::format("move \"{}\" to \"{}\"", from, to);
  if (const int injected = fault_at("rename")) return std::unexpected(errno_error(injected, doing));
  if (replace == Replace::yes) {
    if (::renameat(fd(), from.c_str(), target.fd(), to.c_str()) != 0) {
      const bool mixed = errno == EISDIR || errno == ENOTDIR || errno == ENOTEMPTY;
      return std::unexpected(errno_error(mixed ? EEXIST : errno, doing));
    }
  } else if (::renameat2(fd(), from.c_str(), target.fd(), to.c_str(), RENAME_NOREPLACE) != 0) {
    if (errno != EINVAL && errno != ENOSYS) return std::unexpected(errno_error(errno, doing));
    // A file system without RENAME_NOREPLACE: a link never replaces either.
    ATELIER_TRY_VOID(link(from, target, to));
    if (::unlinkat(fd(), from.c_str(), 0) != 0) return std::unexpected(errno_error(errno, doing));
  }
  if (const int injected = fault_at("renamed")) return std::unexpected(errno_error(injected, doing));
  ATELIER_TRY_VOID(target.sync());
  if (target.fd() != fd()) ATELIER_TRY_VOID(sync());
  return {};
}

Result<void> Directory::link(std::string_view name, const Directory& target,
                             std::string_view target_name) const {
  ATELIER_TRY_VOID(check_name(name));
  ATELIER_TRY_VOID(check_name(target_name));
  const std::string from(name);
  const std::string to(target_name);
  if (const int injected = fault_at("link")) {
    return std::unexpected(errno_error(injected, fmt::format("link \"{}\" to \"{}\"", from, to)));
  }
  if (::linkat(fd(), from.c_str(), target.fd(), to.c_str(), 0) == 0) return {};
  if (errno == EMLINK || errno == EOPNOTSUPP || errno == ENOSYS) {
    return fail(Errc::unsupported, fmt::format("\"{}\" cannot have one more hard link", from));
  }
  return std::unexpected(errno_error(errno, fmt::format("link \"{}\" to \"{}\"", from, to)));
}

Result<void> Directory::sync() const { return files::sync(fd(), "sync a folder"); }

Result<FileDescriptor> Directory::open_for_append(std::string_view path) const {
  ATELIER_TRY_VOID(check_path(path));
  if (const int injected = fault_at("create")) return std::unexpected(errno_error(injected, "make a file"));
  return open_beneath(fd(), path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY, 0600);
}

Result<FileDescriptor> Directory::create_file(std::string_view path) const {
  ATELIER_TRY_VOID(check_path(path));
  if (const int injected = fault_at("create")) return std::unexpected(errno_error(injected, "make a file"));
  return open_beneath(fd(), path, O_RDWR | O_CREAT | O_EXCL, 0600);
}

}  // namespace atelier::files
