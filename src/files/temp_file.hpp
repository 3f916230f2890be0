// SPDX-License-Identifier: MIT
#pragma once
// A file that nobody sees until it is whole: written in the temp folder with a running SHA-256, synced, then
// moved to its name. Goes away with the object unless it was published (or is a part: part_file.hpp);
// leftovers of a crash are swept at the next start. Blocks; one thread at a time.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "files/directory.hpp"

namespace atelier::files {

/// Who may write to the published file: blobs, outputs and uploads are read-only (0444), user data is 0644.
enum class FileMode { read_only, writable, secret };  // secret: 0600

/// A name that nobody else in this process uses in the temp folder (which is emptied at start).
[[nodiscard]] std::string fresh_temp_name();

class TempFile {
 public:
  /// `bytes_max` bounds what write() takes. Errors: disk_full, io.
  [[nodiscard]] static Result<TempFile> create(const Directory& temp_folder, std::uint64_t bytes_max);
  /// A copy of `source` that shares its blocks (FICLONE), ready for finish(). The digest is `known_digest`,
  /// or of what is read back. Error unsupported where the file system cannot; disk_full, io.
  [[nodiscard]] static Result<TempFile> clone(const Directory& temp_folder, const File& source,
                                              const Digest& known_digest = {});
  TempFile(TempFile&& other) noexcept;
  TempFile& operator=(TempFile&& other) noexcept;
  ~TempFile();

  /// Makes it a copy of `source`, as clone() does, if nothing was written. Errors: as clone().
  [[nodiscard]] Result<void> share_blocks(const File& source, const Digest& known_digest = {});
  /// Of a part that was taken: reads on in what it has, at most `bytes_max`; false once all is read, and
  /// write() may follow. Errors: io.
  [[nodiscard]] Result<bool> read_back(std::size_t bytes_max);
  /// Appends. Errors: too_large (above bytes_max), disk_full, io; after an error only destruction makes
  /// sense.
  [[nodiscard]] Result<void> write(std::string_view bytes);
  /// Sets the mode and syncs; the digest is final then. Once.
  [[nodiscard]] Result<void> finish(FileMode mode);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Of all bytes; after finish().
  [[nodiscard]] const Digest& digest() const { return digest_; }
  /// What identifies the content once the file has its name, too: the inode stays.
  [[nodiscard]] Result<FileKey> key() const;
  /// After finish(): opened anew for reading.
  [[nodiscard]] Result<File> open() const;

  /// Gives the file its name and syncs the folder. On success the object is empty. Error conflict when the
  /// name is taken and Replace::no (or by a folder): the object keeps the file, so another name may be tried.
  [[nodiscard]] Result<void> publish(const Directory& target, std::string_view name, Replace replace);
  /// Also of a part. The object is empty then.
  void remove();

 private:
  friend Result<TempFile> begin_part(const Directory& folder, const Digest& digest, std::uint64_t bytes_max);
  friend Result<std::optional<TempFile>> take_part(const Directory& folder, const Digest& digest,
                                                   std::uint64_t bytes_max);
  TempFile(Directory folder, std::string name, FileDescriptor fd, std::uint64_t bytes_max);
  void let_go();

  Directory folder_;
  std::string name_;  // empty: nothing to remove
  FileDescriptor fd_;
  Hasher hasher_;
  Digest digest_;
  std::uint64_t size_ = 0, bytes_max_ = 0;
  std::uint64_t unread_until_ = 0;  // of a part that was taken: what it had then
  bool finished_ = false;
  bool stays_ = false;  // a part: not removed with the object
};

/// Writes `bytes` whole or not at all.
[[nodiscard]] Result<void> write_atomically(const Directory& temp_folder, const Directory& target,
                                            std::string_view name, std::string_view bytes, FileMode mode,
                                            Replace replace);

}  // namespace atelier::files
