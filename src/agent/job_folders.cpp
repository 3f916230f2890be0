// SPDX-License-Identifier: MIT
#include "agent/job_folders.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "comfy/rewrite.hpp"
#include "files/safe_path.hpp"

namespace atelier::agent {
namespace {

constexpr std::string_view kRoot = "atelier";
constexpr std::int64_t kNsPerMs = 1'000'000;

/// "12-3": all else in the folder is somebody's own.
bool is_a_runs(std::string_view name) {
  const std::size_t dash = name.find('-');
  const auto digits = [](std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  };
  return dash != std::string_view::npos && digits(name.substr(0, dash)) && digits(name.substr(dash + 1));
}

}  // namespace

Result<std::map<std::string, files::FileKey>> files_of_job(const files::Directory& output, RunKey key) {
  std::map<std::string, files::FileKey> found;
  const std::string below = comfy::job_folder(key.job, key.epoch);
  files::ListLimits limits;
  limits.entries_max = link::kFilesPerJobMax + 1;  // more are an error of its own
  limits.depth_max = 8;
  auto listing = output.list(below, limits);
  if (!listing) {
    if (listing.error().code == Errc::not_found) return found;  // nothing was saved
    return std::unexpected(std::move(listing).error());
  }
  for (const files::Entry& entry : listing->entries) {
    if (entry.kind == files::EntryKind::file)
      found.emplace(files::join_path(below, entry.path), entry.stat.key);
  }
  return found;
}

Result<std::size_t> sweep_job_folders(const files::Directory& output, WallTime now, milliseconds age,
                                      const std::set<RunKey>& kept) {
  auto listing = output.list(kRoot, {});
  if (!listing) {
    if (listing.error().code == Errc::not_found) return 0;  // no run has saved anything
    return std::unexpected(std::move(listing).error());
  }
  std::set<std::string> keep;
  for (const RunKey& key : kept) keep.insert(comfy::job_folder(key.job, key.epoch));
  std::size_t removed = 0;
  for (const files::Entry& entry : listing->entries) {
    const std::string path = files::join_path(kRoot, entry.path);
    if (entry.kind != files::EntryKind::folder || !is_a_runs(entry.path) || keep.contains(path)) continue;
    if (now.ms - entry.stat.changed_ns / kNsPerMs < age.count()) continue;
    const auto gone = output.remove_tree(path);
    if (gone) ++removed;
    if (!gone) log::warn("run_folder_not_removed", {{"folder", path}, {"why", gone.error().what}});
  }
  return removed;
}

}  // namespace atelier::agent
