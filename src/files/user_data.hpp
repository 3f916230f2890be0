// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's user data: workflows and whatever else the front end keeps (CI D4; G 35-37). Paths are decoded by
// the caller (one or two rounds of percent-decoding) and relative to the participant's userdata folder. Any
// thread; blocks.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "files/data_folder.hpp"
#include "files/temp_file.hpp"

namespace atelier::files {

struct UserFile {
  std::string path;  // relative to the listed folder, or to the userdata folder (write, move)
  std::uint64_t size = 0;
  std::int64_t modified_ms = 0, created_ms = 0;
};

/// GET /v2/userdata: files and folders.
struct UserEntry {
  std::string name, path;  // path is relative to the userdata folder
  bool is_folder = false;
  std::uint64_t size = 0;       // files only
  double modified_seconds = 0;  // with fraction
};

inline constexpr std::uint64_t kUserFileBytesMax = 64ULL << 20;
inline constexpr std::size_t kUserEntriesMax = 20'000;

class UserData {
 public:
  explicit UserData(const DataFolder& data) : data_(data) {}

  /// GET /userdata?dir=: files only, no dotfiles, sorted. Errors: bad_request "Directory not provided" (empty
  /// dir), forbidden (leaves the folder), not_found "Directory not found".
  [[nodiscard]] Result<std::vector<UserFile>> list(ParticipantId participant, std::string_view dir,
                                                   bool recurse) const;
  /// GET /v2/userdata?path=: recursive, folders first, then by name. "" is the whole tree. Errors as list.
  [[nodiscard]] Result<std::vector<UserEntry>> list_v2(ParticipantId participant,
                                                       std::string_view path) const;
  /// Errors: not_found, forbidden, bad_request.
  [[nodiscard]] Result<File> open(ParticipantId participant, std::string_view file) const;
  /// Whole or not at all; missing parents are made. Errors: conflict "File already exists" (Replace::no),
  /// forbidden, bad_request, too_large above kUserFileBytesMax, disk_full.
  [[nodiscard]] Result<UserFile> write(ParticipantId participant, std::string_view file,
                                       std::string_view bytes, Replace overwrite) const;
  /// Errors: not_found, forbidden, bad_request.
  [[nodiscard]] Result<void> remove(ParticipantId participant, std::string_view file) const;
  /// Errors: not_found (source), conflict, forbidden, bad_request.
  [[nodiscard]] Result<UserFile> move(ParticipantId participant, std::string_view source,
                                      std::string_view destination, Replace overwrite) const;

 private:
  const DataFolder& data_;
};

/// "workflows/a.json" gives {"workflows/a.json", "workflows", "a.json"}: `split=true` of GET /userdata.
[[nodiscard]] std::vector<std::string> split_for_listing(std::string_view path);

}  // namespace atelier::files
