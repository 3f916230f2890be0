// SPDX-License-Identifier: MIT
#pragma once
// What a whole journal says of the files: the rows that `files::check_store` compares with the disk. Blocks;
// one thread.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "files/store_check.hpp"
#include "journal/journal.hpp"

namespace atelier::workshop {

struct FileName {
  files::FolderType type = files::FolderType::output;
  std::string folder, name;
  auto operator<=>(const FileName&) const = default;
};

/// Attachments are JSON, which is the faces' business: how to read those that name files.
struct AttachmentReaders {
  /// The inputs of an accepted prompt; use, job and participant are left alone.
  std::function<Result<std::vector<files::StoreRow>>(std::shared_ptr<const std::string> accepted)> inputs;
  /// The files that a node's ui names.
  std::function<Result<std::vector<FileName>>(std::string_view ui)> names;
};

/// Reads all entries or, where older ones were removed, the checkpoint and what follows. Errors: as
/// StoreReader, and those of `readers`; io also for an attachment that is not there: then nobody can say what
/// is named by nothing.
[[nodiscard]] Result<files::StoreRows> stored_rows(journal::StoreReader& reader,
                                                   const AttachmentReaders& readers);

}  // namespace atelier::workshop
