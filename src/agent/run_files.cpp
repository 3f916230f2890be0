// SPDX-License-Identifier: MIT
#include "agent/run_files.hpp"

#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace atelier::agent {
namespace {

constexpr std::string_view kSpoolPrefix = "spool-";

}  // namespace

Result<EngineFolders> open_engine_folders(const std::string& comfy_dir, const std::string& temp_parent) {
  auto open = [](const std::string& path) -> Result<files::Directory> {
    std::error_code ignored;
    std::filesystem::create_directory(path, ignored);  // ComfyUI makes temp when it needs it
    auto folder = files::Directory::open_root(path);
    if (!folder) return fail(Errc::config, fmt::format("--comfy-dir: {}", folder.error().what));
    return folder;
  };
  EngineFolders folders;
  ATELIER_TRY(folders.output, open(comfy_dir + "/output"));
  ATELIER_TRY(folders.temp, open(temp_parent + "/temp"));
  ATELIER_TRY(folders.input, open(comfy_dir + "/input"));
  auto temp = folders.input.make_folder(".atelier-incoming");
  if (!temp)
    return fail(Errc::config,
                fmt::format("--comfy-dir: the input folder cannot be written: {}", temp.error().what));
  folders.input_temp = std::move(*temp);
  return folders;
}

Result<Spool> Spool::make(const std::string& parent) {
  std::error_code failed;
  std::filesystem::create_directories(parent, failed);
  if (failed) return fail(Errc::config, fmt::format("{}: {}", parent, failed.message()));
  ATELIER_TRY(const files::Directory all, files::Directory::open_root(parent));
  // One agent at a time looks for what is left and makes its own.
  if (::flock(all.fd(), LOCK_EX) != 0) return std::unexpected(errno_error(errno, "lock " + parent));
  for (const auto& entry : std::filesystem::directory_iterator(parent, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kSpoolPrefix) || !entry.is_directory(failed)) continue;
    const auto older = files::Directory::open_root(entry.path().string());
    if (older && ::flock(older->fd(), LOCK_EX | LOCK_NB) == 0) std::filesystem::remove_all(entry, failed);
  }
  std::string path = fmt::format("{}/{}XXXXXX", parent, kSpoolPrefix);
  if (::mkdtemp(path.data()) == nullptr)
    return std::unexpected(errno_error(errno, "make the folder " + path));
  ATELIER_TRY(files::Directory folder, files::Directory::open_root(path));
  if (::flock(folder.fd(), LOCK_EX | LOCK_NB) != 0)
    return std::unexpected(errno_error(errno, "lock " + path));
  return Spool(std::move(path), std::move(folder));
}

Spool::Spool(Spool&& other) noexcept
    : path_(std::exchange(other.path_, {})), folder_(std::move(other.folder_)), counter_(other.counter_) {}

Spool::~Spool() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Spool::fresh_name() { return fmt::format("s-{}", ++counter_); }

}  // namespace atelier::agent
