// SPDX-License-Identifier: MIT
#include "agent/run_files.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace atelier::agent {

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

Result<Spool> Spool::make() {
  const char* base = std::getenv("TMPDIR");
  std::string path = fmt::format("{}/atelier-worker-XXXXXX", base != nullptr && *base != 0 ? base : "/tmp");
  if (::mkdtemp(path.data()) == nullptr)
    return std::unexpected(errno_error(errno, "make the folder " + path));
  ATELIER_TRY(files::Directory folder, files::Directory::open_root(path));
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
