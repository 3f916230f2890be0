// SPDX-License-Identifier: MIT
#pragma once
// Uploads from workers: staging/<job>-<epoch>/<n>, append only (core.md 6, 8; reliability.md C3). Nothing
// here can be seen by a participant. Any thread; every call blocks and belongs on the file pool.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/time.hpp"
#include "files/blobs.hpp"
#include "files/directory.hpp"

namespace atelier::files {

/// The n-th output of one grant of a job. The caller has compared the epoch with the lease.
struct StagedName {
  JobId job;
  Epoch epoch;
  std::uint32_t n = 0;
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

  /// At `ended` or a newer epoch. Nothing there is fine.
  [[nodiscard]] Result<void> remove_job(JobId job, Epoch epoch) const;
  /// Every epoch of the job below `epoch`.
  [[nodiscard]] Result<void> remove_older_epochs(JobId job, Epoch epoch) const;
  /// Removes job folders in which nothing changed for a day, and temp files (staging/tmp) as old.
  [[nodiscard]] Result<SweepReport> sweep(WallTime now) const;

  [[nodiscard]] static std::string folder_name(JobId job, Epoch epoch);  // "12-3"

 private:
  Directory staging_;
};

}  // namespace atelier::files
