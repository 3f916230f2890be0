// SPDX-License-Identifier: MIT
#pragma once
// The engine's three folders and ComfyUI's rules for names in them. Every path is checked to stay inside its
// folder before it is used (lexically; the folders belong to the engine alone). Functions block on the file
// system.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "comfy/files.hpp"

namespace atelier::rehearsal {

struct Folders {
  std::string root;         // absolute, without a slash at its end
  std::string temp_parent;  // of temp, if it is not the root

  /// "<root>/input" and so on.
  [[nodiscard]] std::string path(comfy::FileType type) const;
  /// Makes the three folders. Error: io and friends.
  [[nodiscard]] Result<void> create() const;
  /// Absolute path of `name` in the folder of `type`; nullopt if it would leave it.
  [[nodiscard]] std::optional<std::string> resolve(comfy::FileType type, std::string_view name) const;
  /// True for an existing file or folder of that name (ComfyUI asks os.path.exists).
  [[nodiscard]] bool exists(comfy::FileType type, std::string_view name) const;
  /// Top-level, or those below `subfolder` with it in front; visible files of that content kind, sorted.
  [[nodiscard]] std::vector<std::string> list(comfy::FileType type, comfy::ContentKind kind,
                                              std::string_view subfolder = {}) const;
};

/// Where the next pictures of a prefix go (ComfyUI: folder_paths.get_save_image_path).
struct SavePlace {
  std::string folder;         // absolute; exists
  std::string subfolder;      // relative, "" at the top
  std::string stem;           // "%batch_num%" still in it
  std::uint32_t counter = 1;  // highest number of `<stem>_<number>...` there, plus 1
};

/// Replaces %width% %height% and the local time's %year% %month% %day% %hour% %minute% %second%; other tokens
/// stay.
[[nodiscard]] std::string fill_prefix(std::string prefix, std::uint32_t width, std::uint32_t height,
                                      std::int64_t unix_seconds);
/// `prefix` after fill_prefix. Makes the folder. Errors: forbidden if it leaves the folder, io and friends.
[[nodiscard]] Result<SavePlace> save_place(const Folders& folders, comfy::FileType type,
                                           std::string_view prefix);

/// The whole file. Errors: not_found, too_large above `bytes_max`, io.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max = 2ULL << 30);
/// Replaces the file in one step (a hidden neighbour, then rename). Errors: disk_full, io and friends.
[[nodiscard]] Result<void> write_file(const std::string& path, std::string_view bytes);

}  // namespace atelier::rehearsal
