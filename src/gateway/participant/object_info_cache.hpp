// SPDX-License-Identifier: MIT
#pragma once
// /object_info as each participant gets it: made once per change of the catalog or of the file lists, kept
// compressed (it is megabytes, and asked for at every boot). One thread; printing and compressing on the
// compute pool.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comfy/object_info.hpp"
#include "files/files.hpp"
#include "gateway/byte_lru.hpp"
#include "gateway/catalog/catalog.hpp"
#include "gateway/participant/gzip_parts.hpp"
#include "net/header_list.hpp"
#include "net/kept_bytes.hpp"
#include "runtime/runtime.hpp"
#include "runtime/signal.hpp"

namespace atelier::gateway {

/// Of a folder that a prompt names, the levels whose files go with it: its own, and that of the folders in
/// it, as ComfyUI's datasets read them (nodes_dataset.py).
inline constexpr std::size_t kDatasetDepth = 2;

/// A participant's files as combos list them: names of the whole tree, sorted. Folders without files for a
/// dataset are not listed.
struct FileLists {
  std::vector<std::string> input, output, temp;
  [[nodiscard]] std::vector<std::string> pick(const comfy::FileListKey& key) const;
  /// Of all names.
  [[nodiscard]] Digest digest() const;
};

class ObjectInfoCache {
 public:
  ObjectInfoCache(Runtime& runtime, files::Files& files, Catalog& catalog, std::size_t bytes_max)
      : runtime_(runtime), files_(files), catalog_(catalog), bodies_(bytes_max), packed_now_(runtime) {}

  struct State {
    std::string etag;  // with quotes
    std::shared_ptr<const comfy::ObjectInfo> info;
    std::shared_ptr<const FileLists> lists;
  };
  /// The answer in gzip. Its tag is not that of the plain one (RFC 9110 8.8.3.3).
  struct Compressed {
    Compressed(const std::string& state_etag, std::string bytes);
    [[nodiscard]] static std::string etag_for(const std::string& state_etag);
    std::string etag;  // with quotes
    net::HeaderList headers;
    net::KeptBytes body;
  };
  /// Null if it is not there yet, or not any more what it would print now.
  [[nodiscard]] std::shared_ptr<const Compressed> made(ParticipantId participant);
  /// What it would print now. Goes to disk only if a folder of the participant has changed.
  [[nodiscard]] awaitable<State> state(ParticipantId participant);
  /// What is the same for everybody is compressed once per catalog.
  [[nodiscard]] awaitable<Result<std::shared_ptr<const Compressed>>> compressed(ParticipantId participant,
                                                                                State state);
  [[nodiscard]] awaitable<std::string> plain(ParticipantId participant, State state);
  [[nodiscard]] static comfy::ObjectInfoView view_of(ParticipantId participant, const State& state);

  static constexpr milliseconds kLookAgain{100};

  struct Counters {
    std::uint64_t packings = 0;  // of the shared parts
    std::uint64_t joinings = 0;  // of one participant's answer
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct Known {
    std::shared_ptr<const FileLists> lists;
    Digest digest;
    std::vector<files::FolderStamp> input, output;
    std::optional<Instant> looked;  // when the folders were found as they were when listed,
    std::uint64_t changes = 0;      // and DataFolder::tree_changes() then
    std::string etag;               // of this and of the catalog's `generation`
    std::uint64_t generation = 0;
  };
  struct PackedPart {
    DeflatedPart packed;     // with an empty class_name
    std::string class_name;  // compressed for each participant
  };
  using PackedParts = std::vector<PackedPart>;

  /// What was listed last of a participant whose folders have not changed since; null otherwise. Our own
  /// changes are seen at once, those of others (an operator's copy) kLookAgain later at most.
  [[nodiscard]] Known* unchanged(ParticipantId participant);
  [[nodiscard]] const std::string& etag_of(ParticipantId participant, Known& known) const;
  [[nodiscard]] static Known list(const files::ParticipantFolders& folders, ParticipantId participant);
  awaitable<Result<std::shared_ptr<const PackedParts>>> packed(std::shared_ptr<const comfy::ObjectInfo> info);

  Runtime& runtime_;
  files::Files& files_;
  Catalog& catalog_;
  std::map<ParticipantId, Known> known_;
  ByteLru<std::string, Compressed> bodies_;  // by the state's etag
  std::shared_ptr<const comfy::ObjectInfo> packed_info_;
  std::shared_ptr<const PackedParts> packed_;  // of packed_info_
  bool packing_ = false;
  Signal packed_now_;
  Counters counters_;
};

}  // namespace atelier::gateway
