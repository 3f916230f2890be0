// SPDX-License-Identifier: MIT
#include "files/output_place.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "files/safe_path.hpp"

namespace atelier::files {

Result<void> check_output_place(const DataFolder& data, ParticipantId participant, FolderType type,
                                std::string_view folder, std::string_view name) {
  ATELIER_TRY_VOID(check_path(join_path(folder, name)));
  ATELIER_TRY(const Directory root, data.tree(participant, tree_of(type)));
  for (std::size_t end = 0; end < folder.size(); ++end) {
    end = std::min(folder.find('/', end), folder.size());
    const std::string_view way = folder.substr(0, end);
    auto there = root.stat(way);
    if (!there && there.error().code == Errc::not_found) return {};
    if (!there) return std::unexpected(std::move(there).error());
    if (there->kind != EntryKind::folder)
      return fail(Errc::conflict, fmt::format("a file has the name \"{}\", where a folder is needed", way));
  }
  return {};
}

}  // namespace atelier::files
