// SPDX-License-Identifier: MIT
#include "files/blob_sweep.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace atelier::files {
namespace {

constexpr const char* kNotes = "swept-blobs.txt";         // a digest and its size per line
constexpr const char* kOlderNotes = "swept-blobs.1.txt";  // what was there before the file was full
constexpr std::uint64_t kNotesBytesMax = 16 << 20;
constexpr std::int64_t kNsPerMs = 1'000'000;
/// To mark what is needed as used more often says nothing new.
constexpr std::int64_t kMarkedAgainNs = 30LL * 60'000 * kNsPerMs;

Result<void> note(const Directory& root, const std::vector<BlobInfo>& blobs) {
  std::string lines;
  for (const BlobInfo& blob : blobs) lines += fmt::format("{} {}\n", blob.digest.hex(), blob.size);
  ATELIER_TRY(FileDescriptor fd, root.open_for_append(kNotes));
  ATELIER_TRY(FileStat stat, stat_of(fd.get()));
  if (stat.size() > kNotesBytesMax) {
    ATELIER_TRY_VOID(root.move(kNotes, root, kOlderNotes, Replace::yes));
    ATELIER_TRY(fd, root.open_for_append(kNotes));
    ATELIER_TRY(stat, stat_of(fd.get()));
  }
  // A line that a crash cut off must not take the next one along.
  ATELIER_TRY_VOID(write_all_at(fd.get(), stat.size(), stat.size() == 0 ? lines : "\n" + lines));
  return sync(fd.get(), "sync the notes of removed blobs");
}

}  // namespace

SweptBlobs& SweptBlobs::operator+=(const SweptBlobs& more) {
  blobs += more.blobs;
  bytes += more.bytes;
  return *this;
}

Result<void> BlobSweep::sweep(unsigned folder, const std::set<Digest>& needed, WallTime now, KeptRound& kept,
                              SweptBlobs& swept) const {
  const std::string name = fmt::format("{:02x}", folder);
  auto listing = blobs_.directory().list(name, ListLimits{});
  if (!listing && listing.error().code == Errc::not_found) return {};
  if (!listing) return std::unexpected(std::move(listing).error());
  const std::int64_t now_ns = now.ms * kNsPerMs;
  const std::int64_t unused_ns = (now - kUnusedFor).ms * kNsPerMs;
  std::vector<BlobInfo> unused;
  std::vector<FileKey> keys;
  for (const Entry& entry : listing->entries) {
    const auto digest = Blobs::parse_place(name, entry.path);
    if (!digest || entry.kind != EntryKind::file) continue;
    const FileStat& stat = entry.stat;
    const bool is_needed = needed.contains(*digest);
    if (is_needed && stat.links == 1 && stat.changed_ns < now_ns - kMarkedAgainNs)
      ATELIER_TRY_VOID(blobs_.touch(*digest));
    if (stat.links != 1) continue;  // it counts for whose folder has it
    if (is_needed || stat.changed_ns >= unused_ns) {
      kept.saw(*digest, stat.key);
    } else {
      unused.push_back({*digest, stat.size()});
      keys.push_back(stat.key);
    }
  }
  if (unused.empty()) return {};
  // On a full disk room is worth more than what fsck would say of it.
  if (auto noted = note(data_.root(), unused); !noted && noted.error().code != Errc::disk_full) return noted;
  for (std::size_t i = 0; i < unused.size(); ++i) {
    ATELIER_TRY(const bool removed, blobs_.remove_unused(unused[i].digest, unused_ns));
    if (removed) {
      swept += {1, unused[i].size};
    } else {
      kept.saw(unused[i].digest, keys[i]);
    }
  }
  return {};
}

Result<std::set<Digest>> swept_blobs(const Directory& root) {
  std::set<Digest> digests;
  for (const char* notes : {kOlderNotes, kNotes}) {
    auto file = root.open_file(notes);
    if (!file && file.error().code == Errc::not_found) continue;
    if (!file) return std::unexpected(std::move(file).error());
    ATELIER_TRY(const std::string text, file->read_all(4 * kNotesBytesMax));
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (const auto digest = Digest::parse(line.substr(0, line.find(' ')))) digests.insert(*digest);
    }
  }
  return digests;
}

}  // namespace atelier::files
