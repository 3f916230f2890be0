// SPDX-License-Identifier: MIT
#include "files/staging.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "files/safe_path.hpp"

namespace atelier::files {
namespace {

constexpr std::int64_t kDayMs = 24LL * 60 * 60 * 1000;
constexpr std::int64_t kNsPerMs = 1'000'000;

/// A job is given back at most so often (core.md 5), and each grant raises its epoch.
constexpr std::uint64_t kOlderEpochsMax = 16;

std::string file_of(const StagedName& name) { return fmt::format("{}-{}", name.n, name.digest.hex()); }

std::string path_of(const StagedName& name) {
  return fmt::format("{}/{}", Staging::folder_name(name.job, name.epoch), file_of(name));
}

bool is_older_than_a_day(const Entry& entry, WallTime now) {
  const std::int64_t newest_ns = std::max(entry.stat.key.modified_ns, entry.stat.changed_ns);
  return now.ms - newest_ns / kNsPerMs > kDayMs;
}

}  // namespace

std::string Staging::folder_name(JobId job, Epoch epoch) { return fmt::format("{}-{}", job, epoch); }

std::optional<std::pair<JobId, Epoch>> Staging::parse_folder_name(std::string_view name) {
  const std::size_t dash = name.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  JobId job;
  Epoch epoch;
  const char* end = name.data() + name.size();
  const auto first = std::from_chars(name.data(), name.data() + dash, job.value);
  const auto second = std::from_chars(name.data() + dash + 1, end, epoch.value);
  if (first.ec != std::errc{} || first.ptr != name.data() + dash) return std::nullopt;
  if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
  return std::pair(job, epoch);
}

Result<std::uint64_t> Staging::length(const StagedName& name) const {
  auto entry = staging_.stat(path_of(name));
  if (entry) return entry->stat.size();
  if (entry.error().code == Errc::not_found) return 0;
  return std::unexpected(std::move(entry).error());
}

Result<std::uint64_t> Staging::length_or_older(const StagedName& name) const {
  ATELIER_TRY(const std::uint64_t own, length(name));
  if (own > 0) return own;
  const std::string wanted = "-" + name.digest.hex();
  for (std::uint64_t back = 1; back <= kOlderEpochsMax && back < name.epoch.value; ++back) {
    auto folder = staging_.open_folder(folder_name(name.job, Epoch{name.epoch.value - back}));
    if (!folder) continue;
    ATELIER_TRY(const Listing listing, folder->list("", ListLimits{}));
    const auto found = std::ranges::find_if(listing.entries, [&](const Entry& entry) {
      return entry.kind == EntryKind::file && entry.path.ends_with(wanted);
    });
    if (found == listing.entries.end()) continue;
    ATELIER_TRY(const Directory own_folder, staging_.make_folder(folder_name(name.job, name.epoch)));
    auto moved = folder->move(found->path, own_folder, file_of(name), Replace::no);
    // Somebody has begun anew meanwhile, or taken it: what lies there counts.
    if (!moved && moved.error().code != Errc::conflict && moved.error().code != Errc::not_found)
      return std::unexpected(std::move(moved).error());
    return length(name);
  }
  return 0;
}

Result<AppendOutcome> Staging::append(const StagedName& name, std::uint64_t offset, std::string_view bytes,
                                      std::uint64_t bytes_max) const {
  if (offset > bytes_max || bytes.size() > bytes_max - offset) {
    return fail(Errc::too_large, fmt::format("the file is larger than {} bytes", bytes_max));
  }
  ATELIER_TRY(const Directory folder, staging_.make_folder(folder_name(name.job, name.epoch)));
  ATELIER_TRY(const FileDescriptor fd, folder.open_for_append(file_of(name)));
  while (::flock(fd.get(), LOCK_EX) != 0) {  // held for one write; gone with the descriptor
    if (errno != EINTR) return std::unexpected(errno_error(errno, "lock a staged file"));
  }
  ATELIER_TRY(const FileStat stat, stat_of(fd.get()));
  if (!stat.is_regular()) return fail(Errc::unsupported, "a staged file is not an ordinary file");
  if (stat.size() != offset) return AppendOutcome{false, stat.size()};
  if (auto written = write_all_at(fd.get(), offset, bytes); !written) {
    // Part of it may lie there; without this the writer would have to ask where to go on.
    if (::ftruncate(fd.get(), static_cast<off_t>(offset)) != 0) {
      return std::unexpected(errno_error(errno, "cut a staged file back"));
    }
    return std::unexpected(std::move(written).error());
  }
  return AppendOutcome{true, offset + bytes.size()};
}

Result<OpenedFile> Staging::open(const StagedName& name) const {
  ATELIER_TRY(Directory folder, staging_.open_folder(folder_name(name.job, name.epoch)));
  std::string file_name = file_of(name);
  ATELIER_TRY(File file, folder.open_file(file_name));
  return OpenedFile{std::move(file), std::move(folder), std::move(file_name)};
}

Result<void> Staging::commit(const StagedName& name, const BlobInfo& expected, const Blobs& blobs) const {
  auto staged = open(name);
  if (staged) return blobs.adopt(staged->folder, staged->name, expected);
  if (staged.error().code != Errc::not_found) return std::unexpected(std::move(staged).error());
  return blobs.require(expected);
}

Result<void> Staging::remove(const StagedName& name) const {
  auto removed = staging_.remove_file(path_of(name));
  if (!removed && removed.error().code == Errc::not_found) return {};
  return removed;
}

Result<void> Staging::remove_job(JobId job, Epoch last) const {
  for (std::uint64_t back = 0; back <= kOlderEpochsMax && back < last.value; ++back)
    ATELIER_TRY_VOID(staging_.remove_tree(folder_name(job, Epoch{last.value - back})));
  return {};
}

Result<void> Staging::keep_newest(JobId job, Epoch epoch) const {
  ATELIER_TRY(const bool there, staging_.exists(folder_name(job, epoch)));
  if (!there || epoch.value < 2) return {};
  return remove_job(job, Epoch{epoch.value - 1});
}

Result<SweepReport> Staging::sweep(WallTime now) const {
  SweepReport report;
  ATELIER_TRY(const Listing folders, staging_.list("", ListLimits{}));
  const auto remove = [&](const std::string& path) {
    if (staging_.remove_tree(path)) {
      ++report.removed;
    } else {
      ++report.failed;
    }
  };
  for (const Entry& folder : folders.entries) {
    const bool is_job = parse_folder_name(folder.path).has_value();
    if (folder.kind != EntryKind::folder || (!is_job && folder.path != "tmp")) continue;
    auto inside = staging_.list(folder.path, ListLimits{.with_dotfiles = true});
    if (!inside) continue;  // removed meanwhile
    const auto is_old = [&](const Entry& entry) { return is_older_than_a_day(entry, now); };
    if (!is_job) {
      for (const Entry& entry : inside->entries) {
        if (is_old(entry)) remove(join_path(folder.path, entry.path));
      }
    } else if (is_old(folder) && std::ranges::all_of(inside->entries, is_old)) {
      remove(folder.path);
    }
  }
  return report;
}

}  // namespace atelier::files
