// SPDX-License-Identifier: MIT
#include "agent/spool.hpp"

#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "base/log.hpp"
#include "files/temp_file.hpp"

namespace atelier::agent {
namespace {

constexpr std::string_view kSpoolPrefix = "spool-", kCopyPrefix = "s-", kAsideSuffix = ".damaged";
constexpr std::chrono::hours kOthersKept{24};

bool lock(const files::Directory& folder, int how) { return ::flock(folder.fd(), how) == 0; }

bool keeps_runs(const files::Directory& folder) {
  const auto listing = folder.list("", {});
  return listing && std::ranges::any_of(listing->entries,
                                        [](const files::Entry& entry) { return is_kept_name(entry.path); });
}

/// Nobody else's, who could have put anything into it.
bool is_own(const files::Directory& folder) {
  const auto stat = files::stat_of(folder.fd());
  return stat && stat->owner == ::geteuid();
}

/// The folder of a dead process of this owner, locked; what no other will come back for is removed.
std::optional<std::pair<std::string, files::Directory>> look_around(const std::string& parent,
                                                                    const std::string& own_prefix) {
  std::optional<std::pair<std::string, files::Directory>> found;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(parent, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kSpoolPrefix) || entry.is_symlink(failed) || !entry.is_directory(failed)) continue;
    auto folder = files::Directory::open_root(entry.path().string());
    if (!folder || !is_own(*folder) || !lock(*folder, LOCK_EX | LOCK_NB)) continue;
    if (keeps_runs(*folder)) {
      if (!found && name.starts_with(own_prefix)) {
        found.emplace(entry.path().string(), std::move(*folder));
        continue;
      }
      const auto changed = std::filesystem::last_write_time(entry, failed);
      if (!failed && std::filesystem::file_time_type::clock::now() - changed < kOthersKept) continue;
    }
    std::filesystem::remove_all(entry, failed);
  }
  return found;
}

std::uint64_t number_of_copy(std::string_view name) {
  std::uint64_t number = 0;
  if (name.starts_with(kCopyPrefix))
    std::from_chars(name.data() + kCopyPrefix.size(), name.data() + name.size(), number);
  return number;
}

}  // namespace

std::string spool_owner(std::string_view worker, std::string_view gateway) {
  return sha256(fmt::format("{} {}", worker, gateway)).hex().substr(0, 16);
}

Result<Spool> Spool::make(const std::string& parent, std::string_view owner) {
  std::error_code failed;
  std::filesystem::create_directories(parent, failed);
  if (failed) return fail(Errc::config, fmt::format("{}: {}", parent, failed.message()));
  ATELIER_TRY(const files::Directory all, files::Directory::open_root(parent));
  // One agent at a time looks for what is left and makes its own.
  if (!lock(all, LOCK_EX)) return std::unexpected(errno_error(errno, "lock " + parent));
  const std::string prefix = fmt::format("{}{}-", kSpoolPrefix, owner);
  if (auto left = look_around(parent, prefix)) return Spool(std::move(left->first), std::move(left->second));
  std::string path = fmt::format("{}/{}XXXXXX", parent, prefix);
  if (::mkdtemp(path.data()) == nullptr)
    return std::unexpected(errno_error(errno, "make the folder " + path));
  ATELIER_TRY(files::Directory folder, files::Directory::open_root(path));
  if (!lock(folder, LOCK_EX | LOCK_NB)) return std::unexpected(errno_error(errno, "lock " + path));
  return Spool(std::move(path), std::move(folder));
}

Spool::Spool(Spool&& other) noexcept
    : path_(std::exchange(other.path_, {})), folder_(std::move(other.folder_)), counter_(other.counter_) {}

Spool::~Spool() {
  if (path_.empty() || keeps_runs(folder_)) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Spool::fresh_name() { return fmt::format("{}{}", kCopyPrefix, ++counter_); }

Result<void> Spool::keep(const KeptRun& kept) const {
  const std::string text = encode_kept(kept);
  if (text.size() > kKeptBytesMax) return fail(Errc::too_large, "what is to be kept of the run is too large");
  return files::write_atomically(folder_, folder_, kept_name(kept.run.key), text, files::FileMode::secret,
                                 files::Replace::yes);
}

Result<KeptRun> Spool::read(const std::string& name) const {
  ATELIER_TRY(const files::File file, folder_.open_file(name));
  ATELIER_TRY(const std::string text, file.read_all(kKeptBytesMax));
  ATELIER_TRY(KeptRun kept, decode_kept(text));
  if (kept_name(kept.run.key) != name) return fail(Errc::bad_request, "it is of another run");
  return kept;
}

Result<std::vector<KeptRun>> Spool::take_up() {
  ATELIER_TRY(const files::Listing listing, folder_.list("", {.with_dotfiles = true}));
  const std::string start = machine_start();
  std::vector<KeptRun> runs;
  std::set<std::string> needed;
  for (const files::Entry& entry : listing.entries) {
    counter_ = std::max(counter_, number_of_copy(entry.path));
    if (!is_kept_name(entry.path)) continue;
    auto kept = read(entry.path);
    if (!kept) {
      const std::string aside = entry.path + std::string(kAsideSuffix);
      log::warn("kept_run_damaged",
                {{"file", fmt::format("{}/{}", path_, aside)}, {"why", kept.error().what}});
      if (folder_.move(entry.path, folder_, aside, files::Replace::yes)) needed.insert(aside);
    } else if (kept->machine_start != start || start.empty() || runs.size() >= link::kJobsMax) {
      log::info("kept_run_left_out", {{"job", kept->run.key.job}, {"epoch", kept->run.key.epoch}});
    } else {
      needed.insert(entry.path);
      for (const KeptFile& file : kept->files) {
        if (file.place == KeptPlace::spool) needed.insert(file.path);
      }
      runs.push_back(std::move(*kept));
    }
  }
  for (const files::Entry& entry : listing.entries) {
    if (!needed.contains(entry.path)) (void)folder_.remove_tree(entry.path);
  }
  return runs;
}

}  // namespace atelier::agent
