// SPDX-License-Identifier: MIT
#include "files/blobs.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <vector>

#include "files/fault_points.hpp"

namespace atelier::files {
namespace {

constexpr std::size_t kReadBytes = std::size_t{256} << 10;
constexpr std::size_t kStepBytes = std::size_t{4} << 20;

std::int64_t wall_now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);  // compared with mtime only
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

/// True if nobody writes to the file by our own rules: it is ours and read-only.
bool is_immutable(const FileStat& stat) { return stat.owner == ::geteuid() && (stat.mode & 0222) == 0; }

}  // namespace

Result<bool> FileHash::step() {
  std::vector<std::byte> buffer(kReadBytes);
  for (std::size_t done = 0; done < kStepBytes; done += kReadBytes) {
    ATELIER_TRY(const std::size_t count, file_->read_at(offset_, buffer));
    hasher_.update(std::span<const std::byte>(buffer).first(count));
    offset_ += count;
    if (count < buffer.size()) return true;
  }
  return false;
}

Result<BlobInfo> hash_file(const File& file) {
  FileHash hash(file);
  while (true) {
    ATELIER_TRY(const bool at_end, hash.step());
    if (at_end) return hash.finish();
  }
}

Result<std::optional<std::uint64_t>> Blobs::size(const Digest& digest) const {
  auto entry = blobs_.stat(folder_name(digest) + "/" + file_name(digest));
  if (entry && entry->kind == EntryKind::file) return std::optional(entry->stat.size());
  if (entry || entry.error().code == Errc::not_found) return std::optional<std::uint64_t>{};
  return std::unexpected(std::move(entry).error());
}

Result<File> Blobs::open(const Digest& digest) const {
  auto file = blobs_.open_file(folder_name(digest) + "/" + file_name(digest));
  if (!file && file.error().code == Errc::not_found) {
    return fail(Errc::not_found, fmt::format("there is no content with the digest {}", digest.hex()));
  }
  return file;
}

Result<void> Blobs::require(const BlobInfo& expected) const {
  ATELIER_TRY(const auto there, size(expected.digest));
  if (there == expected.size) {
    ATELIER_TRY(const bool touched, touch(expected.digest));
    if (touched) return {};
  }
  return fail(Errc::not_found, fmt::format("there is no content with the digest {}", expected.digest.hex()));
}

Result<bool> Blobs::touch(const Digest& digest) const {
  auto folder = blobs_.open_folder(folder_name(digest));
  if (!folder) {
    if (folder.error().code == Errc::not_found) return false;
    return std::unexpected(std::move(folder).error());
  }
  std::array<timespec, 2> times{};
  times[0].tv_nsec = UTIME_NOW;
  times[1].tv_nsec = UTIME_OMIT;
  const std::shared_lock lock(removing_);
  if (::utimensat(folder->fd(), file_name(digest).c_str(), times.data(), AT_SYMLINK_NOFOLLOW) == 0)
    return true;
  if (errno == ENOENT) return false;
  return std::unexpected(errno_error(errno, "touch a blob"));
}

Result<bool> Blobs::remove_unused(const Digest& digest, std::int64_t before_ns) const {
  auto folder = blobs_.open_folder(folder_name(digest));
  if (!folder && folder.error().code == Errc::not_found) return false;
  if (!folder) return std::unexpected(std::move(folder).error());
  const std::string name = file_name(digest), away = fresh_temp_name();
  {
    const std::unique_lock lock(removing_);
    auto entry = folder->stat(name);
    if (!entry && entry.error().code == Errc::not_found) return false;
    if (!entry) return std::unexpected(std::move(entry).error());
    const FileStat& stat = entry->stat;
    if (entry->kind != EntryKind::file || stat.links != 1 || stat.changed_ns >= before_ns) return false;
    // Out of the store at once; to remove a large file takes its time.
    if (const int injected = fault_at("unuse"))
      return std::unexpected(errno_error(injected, "remove a blob"));
    if (::renameat(folder->fd(), name.c_str(), temp_.fd(), away.c_str()) != 0)
      return std::unexpected(errno_error(errno, "remove a blob"));
  }
  if (const int injected = fault_at("unused")) return std::unexpected(errno_error(injected, "remove a blob"));
  if (::unlinkat(temp_.fd(), away.c_str(), 0) != 0)
    return std::unexpected(errno_error(errno, "remove a blob"));  // else the next start does it
  return true;
}

std::optional<KeptContent> Blobs::kept_of(const File& file) const {
  const auto stat = stat_of(file.fd());
  if (!stat) return std::nullopt;
  KeptContent kept;
  kept.digest = cache_.find(stat->key).value_or(Digest{});
  if (stat->links > 1) return std::nullopt;  // it is in somebody's folder, too
  if (stat->links == 1) {
    kept.device = stat->key.device;
    kept.inode = stat->key.inode;
    return kept;
  }
  // A reflink or a copy of it.
  if (!kept.digest) return std::nullopt;
  const auto there = size(kept.digest);
  return there && *there ? std::optional(kept) : std::nullopt;
}

std::optional<Digest> Blobs::parse_place(std::string_view folder, std::string_view name) {
  const auto digest = Digest::parse(std::string(folder).append(name));
  if (!digest || folder_name(*digest) != folder || file_name(*digest) != name) return std::nullopt;
  return *digest;
}

Result<void> Blobs::adopt(const Directory& folder, std::string_view name, const BlobInfo& expected) const {
  ATELIER_TRY(const File file, folder.open_file(name));
  BlobInfo found;
  found.size = file.size();
  if (found.size == expected.size) {
    ATELIER_TRY(found, hash_file(file));
  }
  if (found.size != expected.size || found.digest != expected.digest) {
    ATELIER_TRY_VOID(folder.remove_file(name));
    return fail(Errc::bad_hash,
                fmt::format("{} bytes came that differ from the promised {} bytes with the digest {}",
                            found.size, expected.size, expected.digest.hex()));
  }
  return adopt_verified(folder, name, file, expected);
}

Result<void> Blobs::adopt_verified(const Directory& folder, std::string_view name, const File& verified,
                                   const BlobInfo& known) const {
  {
    ATELIER_TRY(const File file, folder.open_file(name));
    if (file.stat().key != verified.stat().key)
      return fail(Errc::bad_hash, "the file changed after it was verified");
    if (::fchmod(file.fd(), 0444) != 0) return std::unexpected(errno_error(errno, "make a blob read-only"));
    ATELIER_TRY_VOID(sync(file.fd(), "sync a blob"));
  }
  return place(folder, name, known);
}

/// `folder`/`name` is verified, synced and read-only.
Result<void> Blobs::place(const Directory& folder, std::string_view name, const BlobInfo& known) const {
  ATELIER_TRY(const Directory target, blobs_.make_folder(folder_name(known.digest)));
  const std::string final_name = file_name(known.digest);
  auto moved = folder.move(name, target, final_name, Replace::no);
  if (!moved && moved.error().code == Errc::conflict) {
    if (require(known)) return folder.remove_file(name);
    // What has the name is not the content (a disk that lost bytes, a hand in the folder): put it right.
    moved = folder.move(name, target, final_name, Replace::yes);
  }
  if (!moved) return moved;
  if (auto entry = target.stat(final_name)) cache_.put(entry->stat.key, known.digest);
  return {};
}

Result<BlobInfo> Blobs::adopt(TempFile file) const {
  const BlobInfo known{file.digest(), file.size()};
  ATELIER_TRY(const Directory target, blobs_.make_folder(folder_name(known.digest)));
  auto published = file.publish(target, file_name(known.digest), Replace::no);
  if (!published && published.error().code == Errc::conflict) {
    if (require(known)) return known;
    published = file.publish(target, file_name(known.digest), Replace::yes);
  }
  if (!published) return std::unexpected(std::move(published).error());
  if (auto entry = target.stat(file_name(known.digest))) cache_.put(entry->stat.key, known.digest);
  return known;
}

Result<BlobInfo> Blobs::put(std::string_view bytes) const {
  ATELIER_TRY(TempFile file, TempFile::create(temp_, bytes.size()));
  ATELIER_TRY_VOID(file.write(bytes));
  ATELIER_TRY_VOID(file.finish(FileMode::read_only));
  return adopt(std::move(file));
}

Result<Digest> Blobs::digest_of(const File& file) const {
  if (const auto known = cache_.find(file.stat().key)) return *known;
  ATELIER_TRY(const BlobInfo info, hash_file(file));
  ATELIER_TRY(const FileStat after, stat_of(file.fd()));
  if (after.key != file.stat().key || info.size != file.size()) {
    return fail(Errc::conflict, "the file was changed while it was read");
  }
  if (is_immutable(after)) {
    cache_.put(after.key, info.digest);
  } else {
    cache_.put_if_settled(after.key, info.digest, wall_now_ns());
  }
  return info.digest;
}

Result<BlobInfo> Blobs::pin(const OpenedFile& source, std::uint64_t bytes_max) const {
  const FileStat& stat = source.file.stat();
  if (stat.size() > bytes_max) {
    return fail(Errc::too_large, fmt::format("\"{}\" is larger than {} bytes", source.name, bytes_max));
  }
  if (const auto known = cache_.find(stat.key)) {
    const BlobInfo info{*known, stat.size()};
    if (require(info)) return info;
  }
  auto cloned = TempFile::clone(temp_, source.file);
  if (cloned) {
    ATELIER_TRY_VOID(cloned->finish(FileMode::read_only));
    ATELIER_TRY(const FileStat after, stat_of(source.file.fd()));
    ATELIER_TRY(const BlobInfo info, adopt(std::move(*cloned)));
    if (after.key == stat.key) cache_.put_if_settled(stat.key, info.digest, wall_now_ns());
    return info;
  }
  if (cloned.error().code != Errc::unsupported) return std::unexpected(std::move(cloned).error());
  ATELIER_TRY(const auto linked, pin_link(source));
  if (linked) return *linked;
  return pin_copy(source, bytes_max);
}

/// Empty when the file cannot serve as a blob itself.
Result<std::optional<BlobInfo>> Blobs::pin_link(const OpenedFile& source) const {
  if (!is_immutable(source.file.stat())) return std::optional<BlobInfo>{};
  ATELIER_TRY(const Digest digest, digest_of(source.file));
  const BlobInfo info{digest, source.file.size()};
  if (require(info)) return std::optional(info);
  // By way of the temp folder: what has the name may be another file by now, and a blob is never wrong.
  const std::string link_name = fresh_temp_name();
  if (auto linked = source.folder.link(source.name, temp_, link_name); !linked) {
    if (linked.error().code == Errc::disk_full || linked.error().code == Errc::io) {
      return std::unexpected(std::move(linked).error());
    }
    return std::optional<BlobInfo>{};
  }
  auto entry = temp_.stat(link_name);
  if (!entry || entry->stat.key != source.file.stat().key) {
    ATELIER_TRY_VOID(temp_.remove_file(link_name));
    return std::optional<BlobInfo>{};
  }
  if (auto placed = place(temp_, link_name, info); !placed) {
    static_cast<void>(temp_.remove_file(link_name));
    return std::unexpected(std::move(placed).error());
  }
  return std::optional(info);
}

Result<BlobInfo> Blobs::pin_copy(const OpenedFile& source, std::uint64_t bytes_max) const {
  const File& file = source.file;
  ATELIER_TRY(TempFile copy, TempFile::create(temp_, bytes_max));
  std::vector<char> buffer(kReadBytes);
  while (true) {
    ATELIER_TRY(const std::size_t count,
                file.read_at(copy.size(), std::as_writable_bytes(std::span(buffer))));
    ATELIER_TRY_VOID(copy.write(std::string_view(buffer.data(), count)));
    if (count < buffer.size()) break;
  }
  ATELIER_TRY(const FileStat after, stat_of(file.fd()));
  if (after.key != file.stat().key || copy.size() != file.size()) {
    return fail(Errc::conflict, fmt::format("\"{}\" was changed while it was read; try again", source.name));
  }
  ATELIER_TRY_VOID(copy.finish(FileMode::read_only));
  ATELIER_TRY(const BlobInfo info, adopt(std::move(copy)));
  cache_.put_if_settled(after.key, info.digest, wall_now_ns());
  return info;
}

}  // namespace atelier::files
