// SPDX-License-Identifier: MIT
#pragma once
// Uploads from workers: staging/<job>-<epoch>/<n>-<digest>, append only (core.md 6, 8; reliability.md C3).
// Nothing here can be seen by a participant. Any thread; every call blocks and belongs on the file pool.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "files/blobs.hpp"
#include "files/directory.hpp"

namespace atelier::files {

/// The n-th output of one grant of a job, and what its bytes are said to be. The caller has compared the
/// epoch with the lease.
struct StagedName {
  JobId job;
  Epoch epoch;
  std::uint32_t n = 0;
  Digest digest;
};

struct AppendOutcome {
  bool appended = false;     // false: the offset is not the length; nothing was written
  std::uint64_t length = 0;  // the length now: where to go on
};

struct SweepReport {
  std::size_t removed = 0, failed = 0;
};

class Staging {
 public:
  explicit Staging(Directory staging) : staging_(std::move(staging)) {}

  /// Bytes that lie there; 0 if none.
  [[nodiscard]] Result<std::uint64_t> length(const StagedName& name) const;
  /// The same, and what an earlier epoch of this job has brought of this digest counts: it is moved here. Its
  /// bytes are verified with all others by commit().
  [[nodiscard]] Result<std::uint64_t> length_or_older(const StagedName& name) const;
  /// Appends `bytes` at `offset`. Two writers of one file cannot mix: the loser sees the new length. A failed
  /// write leaves the old length. Errors: too_large above `bytes_max` in all, disk_full, io.
  [[nodiscard]] Result<AppendOutcome> append(const StagedName& name, std::uint64_t offset,
                                             std::string_view bytes, std::uint64_t bytes_max) const;
  /// For hashing. Error not_found.
  [[nodiscard]] Result<OpenedFile> open(const StagedName& name) const;
  /// Verifies and moves into `blobs` (Blobs::adopt). Repeating it after success is success. Errors: bad_hash
  /// (removed: upload again from 0), not_found, disk_full, io.
  [[nodiscard]] Result<void> commit(const StagedName& name, const BlobInfo& expected,
                                    const Blobs& blobs) const;
  [[nodiscard]] Result<void> remove(const StagedName& name) const;

  /// At `ended`: every epoch of the job up to `last`. Nothing there is fine.
  [[nodiscard]] Result<void> remove_job(JobId job, Epoch last) const;
  /// When a lease is lost and the job goes on: `epoch` stays for the next one, those before go if there is
  /// something of it.
  [[nodiscard]] Result<void> keep_newest(JobId job, Epoch epoch) const;
  /// Removes job folders in which nothing changed for a day, and temp files (staging/tmp) as old.
  [[nodiscard]] Result<SweepReport> sweep(WallTime now) const;

  [[nodiscard]] static std::string folder_name(JobId job, Epoch epoch);  // "12-3"
  /// "12-3" as (job, epoch); empty for every other name.
  [[nodiscard]] static std::optional<std::pair<JobId, Epoch>> parse_folder_name(std::string_view name);

 private:
  Directory staging_;
};

}  // namespace atelier::files
