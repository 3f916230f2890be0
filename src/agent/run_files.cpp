// SPDX-License-Identifier: MIT
#include "agent/run_files.hpp"

#include <fmt/format.h>

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

}  // namespace atelier::agent
