// SPDX-License-Identifier: MIT
#pragma once
// What ComfyUI's file routes do, in one participant's folders (CI D1, D3, D8; G 31-33). The folder is the
// truth for what a participant sees. Any thread; every call blocks and belongs on the file pool.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "files/blobs.hpp"
#include "files/data_folder.hpp"
#include "files/temp_file.hpp"

namespace atelier::files {

/// "input", "output" or "temp": ComfyUI's `type` on the wire.
enum class FolderType { input, output, temp };
[[nodiscard]] std::string_view to_string(FolderType type);
[[nodiscard]] std::optional<FolderType> parse_folder_type(std::string_view text);
[[nodiscard]] Tree tree_of(FolderType type);

/// "cat.png [output]" is {"cat.png", output}; without a suffix the type is empty. Like stock, the one
/// character before the bracket is cut blindly (folder_paths.py annotated_filepath).
struct AnnotatedName {
  std::string path;
  std::optional<FolderType> type;
};
[[nodiscard]] AnnotatedName parse_annotated_name(std::string_view text);

struct StoreRequest {
  FolderType type = FolderType::input;
  std::string subfolder;  // "" = the folder itself; made if needed
  std::string name;       // one component
  Replace overwrite = Replace::no;
};
struct StoredFile {
  std::string name, subfolder;  // as they are now: the name may have got " (1)"
  FolderType type = FolderType::input;
  bool written = false;  // false: the same bytes already lay under that name
  BlobInfo content;
  std::optional<std::uint64_t> replaced_bytes;  // of the file whose name it took
  std::optional<KeptContent> kept;              // that file's content, if it stays in the store
};

/// The query of GET /view as it came; absent members were absent.
struct ViewRequest {
  std::optional<std::string> filename, type, subfolder;
};
struct ViewedFile {
  OpenedFile opened;
  FolderType type = FolderType::output;
  std::string subfolder, name;
};

struct ListedFile {
  std::string path;  // relative to the folder
  std::uint64_t size = 0;
  std::int64_t modified_ms = 0;
};

/// What a listing saw of its folders. Unchanged folders have unchanged names in them.
struct FolderStamp {
  std::string path;  // relative to the type's folder; "" = itself
  FileKey key;
  auto operator<=>(const FolderStamp&) const = default;
};
struct StampedList {
  std::vector<ListedFile> files;
  /// Empty: too many folders, or one that changed just now (its time would not tell the next change); then
  /// nothing can be said later.
  std::vector<FolderStamp> stamps;
};

struct FolderUsage {
  std::uint64_t bytes = 0, files = 0;
};

class ParticipantFolders {
 public:
  ParticipantFolders(const DataFolder& data, const Blobs& blobs) : data_(data), blobs_(blobs) {}

  /// A temp file for an upload of at most `bytes_max` bytes; write(), then finish(FileMode::read_only), then
  /// store_upload. Reserve quota before.
  [[nodiscard]] Result<TempFile> create_upload(std::uint64_t bytes_max) const;
  /// POST /upload/image. Without overwrite: same name and bytes -> that name, nothing written; other bytes ->
  /// " (1)", " (2)" ... before the extension. Overwrite: a new file takes the name, readers keep the old one
  /// whole. Errors: bad_request for every name or subfolder that is not fine (stock answers 400 for an
  /// escape), conflict when a folder has the name or 10,000 names are taken, disk_full, io.
  [[nodiscard]] Result<StoredFile> store_upload(ParticipantId participant, const StoreRequest& request,
                                                TempFile file) const;

  /// GET /view in stock's order: no filename -> not_found; suffix cut; empty, leading slash, ".." ->
  /// bad_request; type unknown -> bad_request; subfolder outside -> forbidden; malformed -> bad_request; no
  /// such file -> not_found.
  [[nodiscard]] Result<ViewedFile> open_for_view(ParticipantId participant, const ViewRequest& request) const;
  /// A file that a prompt names: "sub/cat.png" or "cat.png [output]", `default_type` without a suffix.
  /// Errors: bad_request, forbidden, not_found, unsupported.
  [[nodiscard]] Result<ViewedFile> open_annotated(ParticipantId participant, std::string_view annotated_name,
                                                  FolderType default_type = FolderType::input) const;

  /// The files of the type's folder, sorted by name (byte order), without dotfiles, with what same_as()
  /// needs. `depth_max` 1: top level alone; above that sub-folders, too ("3d/cup.glb").
  [[nodiscard]] Result<StampedList> list_stamped(ParticipantId participant, FolderType type,
                                                 std::size_t depth_max) const;
  /// The files in a folder of the type's tree and in the `depth_max` - 1 levels of folders below it, by their
  /// paths below the type's folder, sorted, without dotfiles. Errors: not_found and others as open_annotated;
  /// too_large: there is more than `count_max`, folders counted.
  [[nodiscard]] Result<std::vector<std::string>> files_in(ParticipantId participant, FolderType type,
                                                          std::string_view folder, std::size_t depth_max,
                                                          std::size_t count_max) const;
  /// The folder's names are still those that the stamps were taken of. A statx per folder (at most
  /// kStampsMax): on a local disk cheap enough for the loop's thread.
  [[nodiscard]] bool same_as(ParticipantId participant, FolderType type,
                             const std::vector<FolderStamp>& stamps) const;
  static constexpr std::size_t kStampsMax = 64;
  /// Top-level, no dotfiles, newest first (GET /internal/files; the caller adds the annotation).
  [[nodiscard]] Result<std::vector<ListedFile>> list_newest_first(ParticipantId participant,
                                                                  FolderType type) const;

  /// Removes one file. Error not_found.
  [[nodiscard]] Result<void> remove(ParticipantId participant, FolderType type, std::string_view subfolder,
                                    std::string_view name) const;
  /// Bytes and files of all four trees, by walking them (once per participant and start, for the quota book).
  [[nodiscard]] Result<FolderUsage> measure(ParticipantId participant) const;

 private:
  const DataFolder& data_;
  const Blobs& blobs_;
};

}  // namespace atelier::files
