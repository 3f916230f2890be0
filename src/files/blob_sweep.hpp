// SPDX-License-Identifier: MIT
#pragma once
// Removes content that nothing has named for a day (design.md 8). What names it: hard links of it in
// participants' folders, which its link count tells, and what the caller says. A use is seen by the ctime
// that a touch, a link or a removed name gives it. Any thread; blocks.

#include <cstdint>
#include <set>

#include "base/hash.hpp"
#include "base/time.hpp"
#include "files/blobs.hpp"
#include "files/data_folder.hpp"
#include "files/quota.hpp"

namespace atelier::files {

struct SweptBlobs {
  std::uint64_t blobs = 0, bytes = 0;  // removed
  SweptBlobs& operator+=(const SweptBlobs& more);
};

class BlobSweep {
 public:
  static constexpr unsigned kFolders = 256;  // of blobs/, swept one by one so that others get a turn
  static constexpr milliseconds kUnusedFor{24 * 3'600'000};

  BlobSweep(const DataFolder& data, const Blobs& blobs) : data_(data), blobs_(blobs) {}

  /// Removes what lies in one of the folders (00 to ff), has no hard link, is not in `needed` and was not
  /// used for kUnusedFor; its digests are noted in DATA_DIR first, for fsck. What is needed is marked as used
  /// now, so that its day begins when it is not needed any more. What stays is shown to `kept`. Whoever comes
  /// to need a blob after `needed` was gathered must have touched it before. Errors: io, forbidden; what was
  /// removed until then is in `swept`.
  [[nodiscard]] Result<void> sweep(unsigned folder, const std::set<Digest>& needed, WallTime now,
                                   KeptRound& kept, SweptBlobs& swept) const;

 private:
  const DataFolder& data_;
  const Blobs& blobs_;
};

/// Digests that sweeps of this DATA_DIR have removed, as far back as the notes go: hundreds of thousands.
[[nodiscard]] Result<std::set<Digest>> swept_blobs(const Directory& root);

}  // namespace atelier::files
