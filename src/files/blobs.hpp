// SPDX-License-Identifier: MIT
#pragma once
// Content by SHA-256: blobs/ab/cdef... (62 more digits). A blob is whole or absent, read-only, and never
// changes. Any thread; every call blocks and belongs on the file pool. Hashing reads the whole file: for more
// than a few MB use the chunked forms of files.hpp, so that others get a turn of the pool.

#include <cstdint>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>

#include "base/hash.hpp"
#include "files/digest_cache.hpp"
#include "files/directory.hpp"
#include "files/temp_file.hpp"

namespace atelier::files {

/// An open file together with where it stands, so that it can be linked.
struct OpenedFile {
  File file;
  Directory folder;
  std::string name;
};

struct BlobInfo {
  Digest digest;
  std::uint64_t size = 0;
};

/// Content that has no name any more and lies in the store: by its digest, by its inode (0: that is
/// unknown), or by both.
struct KeptContent {
  Digest digest;
  std::uint64_t device = 0, inode = 0;
};

/// SHA-256 of a file in steps, so that long work takes turns (core.md 9).
class FileHash {
 public:
  explicit FileHash(const File& file) : file_(&file) {}
  /// Reads at most 4 MB more; true when the end was reached. Error io.
  [[nodiscard]] Result<bool> step();
  /// After step() gave true.
  [[nodiscard]] BlobInfo finish() { return {hasher_.finish(), offset_}; }

 private:
  const File* file_;
  Hasher hasher_;
  std::uint64_t offset_ = 0;
};
[[nodiscard]] Result<BlobInfo> hash_file(const File& file);

class Blobs {
 public:
  Blobs(Directory blobs, Directory temp_folder, DigestCache& cache)
      : blobs_(std::move(blobs)), temp_(std::move(temp_folder)), cache_(cache) {}

  /// The size if the blob is there.
  [[nodiscard]] Result<std::optional<std::uint64_t>> size(const Digest& digest) const;
  /// Error not_found.
  [[nodiscard]] Result<File> open(const Digest& digest) const;
  /// Success if the blob is there with that size; touches it. Error not_found.
  [[nodiscard]] Result<void> require(const BlobInfo& expected) const;
  /// Marks the blob as used now (atime and ctime; mtime is kept, because names may share the inode). True if
  /// it was there: call it before relying on a blob that no name or pin holds yet.
  [[nodiscard]] Result<bool> touch(const Digest& digest) const;
  /// Removes a blob that only the store itself holds and that nobody has touched, linked or given a name
  /// since `before_ns` (Unix time in nanoseconds); false if there is none such. A touch() that gave true goes
  /// before it. The caller knows that nothing else names it. A crash leaves the blob where it is, or nothing.
  [[nodiscard]] Result<bool> remove_unused(const Digest& digest, std::int64_t before_ns) const;
  /// What of an open file's content stays here alone, now that its name has gone (it was replaced or
  /// removed): empty if nothing does, or if another folder has it. By the digest cache and the file's links
  /// alone; nothing is read.
  [[nodiscard]] std::optional<KeptContent> kept_of(const File& file) const;

  /// Moves `folder`/`name` into the store: reads and verifies, syncs file, renames, syncs folder (core.md 6).
  /// The blob already there: touched, the file removed. Errors: bad_hash (other bytes or size; the file is
  /// removed), not_found, disk_full, io.
  [[nodiscard]] Result<void> adopt(const Directory& folder, std::string_view name,
                                   const BlobInfo& expected) const;
  /// The same for a file whose content the caller has verified (FileHash) by `verified`. Errors, too:
  /// bad_hash (the name is another file's by now, or it was written to since `verified` was opened).
  [[nodiscard]] Result<void> adopt_verified(const Directory& folder, std::string_view name,
                                            const File& verified, const BlobInfo& known) const;
  /// A finished temp file (FileMode::read_only).
  [[nodiscard]] Result<BlobInfo> adopt(TempFile file) const;
  /// Small content made here (a few MB at most).
  [[nodiscard]] Result<BlobInfo> put(std::string_view bytes) const;

  /// A blob with the content of a file that stays where it is (core.md 3, pins): by the digest cache; else
  /// reflink; else a hard link if the file is ours and read-only; else a copy. The source may be written to
  /// by its owner: a change while it is read is noticed (conflict). Errors: disk_full, io, too_large above
  /// `bytes_max`.
  [[nodiscard]] Result<BlobInfo> pin(const OpenedFile& source, std::uint64_t bytes_max) const;
  /// The digest of a file, by the cache or by reading.
  [[nodiscard]] Result<Digest> digest_of(const File& file) const;

  /// The folder below blobs/ and the name in it of a digest: "ab" and 62 digits.
  [[nodiscard]] static std::string folder_name(const Digest& digest) { return digest.hex().substr(0, 2); }
  [[nodiscard]] static std::string file_name(const Digest& digest) { return digest.hex().substr(2); }
  /// The digest of what lies there; empty if it is nothing that this store puts there.
  [[nodiscard]] static std::optional<Digest> parse_place(std::string_view folder, std::string_view name);
  [[nodiscard]] const Directory& directory() const { return blobs_; }
  [[nodiscard]] const Directory& temp_folder() const { return temp_; }
  [[nodiscard]] DigestCache& cache() const { return cache_; }

 private:
  Result<void> place(const Directory& folder, std::string_view name, const BlobInfo& known) const;
  Result<BlobInfo> pin_copy(const OpenedFile& source, std::uint64_t bytes_max) const;
  Result<std::optional<BlobInfo>> pin_link(const OpenedFile& source) const;

  Directory blobs_, temp_;
  DigestCache& cache_;
  mutable std::shared_mutex removing_;  // shared by whoever touches a blob to rely on it
};

}  // namespace atelier::files
