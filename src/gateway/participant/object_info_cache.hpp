// SPDX-License-Identifier: MIT
#pragma once
// /object_info as each participant gets it: made once per change of the catalog or of the file lists, kept
// compressed (it is megabytes, and asked for at every boot). One thread; printing and gzip on the compute
// pool.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comfy/object_info.hpp"
#include "files/files.hpp"
#include "gateway/catalog/catalog.hpp"
#include "gateway/participant/byte_lru.hpp"
#include "runtime/runtime.hpp"

namespace atelier::gateway {

/// A participant's files as upload combos list them: names of the whole tree, sorted.
struct FileLists {
  std::vector<std::string> input, output, temp;
  [[nodiscard]] std::vector<std::string> pick(const comfy::FileListKey& key) const;
  /// Of all names.
  [[nodiscard]] Digest digest() const;
};
/// Blocks. Folders that cannot be read give empty lists.
[[nodiscard]] FileLists list_files(const files::ParticipantFolders& folders, ParticipantId participant);

/// Errors: internal.
[[nodiscard]] Result<std::string> gzip(std::string_view bytes);

class ObjectInfoCache {
 public:
  ObjectInfoCache(Runtime& runtime, files::Files& files, Catalog& catalog, std::size_t bytes_max)
      : runtime_(runtime), files_(files), catalog_(catalog), bodies_(bytes_max) {}

  struct State {
    std::string etag;  // with quotes
    std::shared_ptr<const comfy::ObjectInfo> info;
    std::shared_ptr<const FileLists> lists;
  };
  /// What it would print now.
  [[nodiscard]] awaitable<State> state(ParticipantId participant);
  /// gzip of the whole answer.
  [[nodiscard]] awaitable<Result<std::shared_ptr<const std::string>>> compressed(ParticipantId participant,
                                                                                 State state);
  [[nodiscard]] awaitable<std::string> plain(ParticipantId participant, State state);

 private:
  Runtime& runtime_;
  files::Files& files_;
  Catalog& catalog_;
  ByteLru<std::string, std::string> bodies_;  // by participant and etag
};

}  // namespace atelier::gateway
