// SPDX-License-Identifier: MIT
#pragma once
// DATA_DIR: its layout (design.md 8), the lock against a second server, the worker token. Opened once at
// start, before anything is bound; afterwards the handles are copied around.

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.hpp"
#include "files/directory.hpp"

namespace atelier::files {

struct DataFolderOptions {
  std::string data_dir;  // DATA_DIR; made if missing (mode 0750)
  std::string
      inputs_path;  // INPUTS_PATH: PATH/7 is participant 7's input folder; "" = DATA_DIR/participants/7/input
  std::string outputs_path;    // OUTPUTS_PATH, in the same way
  std::string workflows_path;  // WORKFLOWS_PATH: PATH/7 is participant 7's userdata folder
  std::string
      models_path;  // MODELS_PATH: the library's root; "" = DATA_DIR/library; may be on another file system
};

/// What this user may still write; files = inodes, or a large number where there are none.
struct FreeSpace {
  std::uint64_t bytes = 0, files = 0;
  std::uint64_t total_bytes = 0, total_files = 0;  // of the whole file system; 0 = not known
};

enum class Missing { left, made };  // what becomes of folders that are not there

enum class Tree { input, output, temp, userdata };

class DataFolder {
 public:
  /// Makes what is missing, takes the lock, tries a write. Removes what earlier runs left in staging/tmp.
  /// Error config with one sentence: not a folder, not writable, in use by another server, parts on different
  /// file systems, kernel without openat2. Error disk_full when not even a test file fits.
  [[nodiscard]] static Result<DataFolder> open(const DataFolderOptions& options);
  /// The same of a folder that is there, with the lock, but nothing is tried or removed; with Missing::left
  /// nothing is made either: what is missing of blobs(), staging(), temp() and catalog() is an empty handle.
  /// library() is one always. Error config, too: it belongs to another user, to whom hard links in it are
  /// foreign.
  [[nodiscard]] static Result<DataFolder> open_to_look(const DataFolderOptions& options, Missing missing);

  [[nodiscard]] const std::string& path() const { return path_; }  // absolute
  [[nodiscard]] const Directory& root() const { return root_; }
  [[nodiscard]] const Directory& blobs() const { return blobs_; }
  [[nodiscard]] const Directory& library() const { return library_; }
  [[nodiscard]] const Directory& staging() const { return staging_; }
  [[nodiscard]] const Directory& temp() const { return temp_; }  // staging/tmp
  [[nodiscard]] const Directory& catalog() const { return catalog_; }
  /// One of the four folders of a participant, made on first use.
  [[nodiscard]] Result<Directory> tree(ParticipantId participant, Tree tree) const;
  /// The same, but nothing is made. Error not_found.
  [[nodiscard]] Result<Directory> find_tree(ParticipantId participant, Tree tree) const;
  /// What lies at `path` in it ("" = itself), in one statx; nothing is made. Only for comparing with what was
  /// seen before: folders on the way may be links.
  [[nodiscard]] Result<FileStat> stat_in_tree(ParticipantId participant, Tree tree,
                                              std::string_view path) const;
  /// Grows after every change that this process makes in a participant's input, output or temp folder and
  /// before anybody is told of it. Any thread.
  [[nodiscard]] std::uint64_t tree_changes() const { return tree_changes_->load(); }

  /// What statvfs says of DATA_DIR. Cheap enough for the loop's thread on a local disk.
  [[nodiscard]] Result<FreeSpace> free_space() const;
  /// The token of DATA_DIR/worker.token; if there is none, `fresh_token` (64 hex digits, random) is written
  /// with mode 0600. A file that others could read gets mode 0600. Error config if what stands there is not
  /// 64 hex digits.
  [[nodiscard]] Result<std::string> worker_token(const std::string& fresh_token) const {
    return secret("worker.token", fresh_token);
  }
  /// The key of the participants' tokens, DATA_DIR/seat.key, in the same way.
  [[nodiscard]] Result<std::string> seat_key(const std::string& fresh_key) const {
    return secret("seat.key", fresh_key);
  }

 private:
  DataFolder() = default;
  Result<void> open_trees(const DataFolderOptions& options);
  /// The folder that a participant's tree is in, and the way to it from there.
  std::pair<const Directory*, std::string> place_of(ParticipantId participant, Tree tree) const;
  Result<std::string> secret(const std::string& name, const std::string& fresh) const;

  std::string path_;
  Directory root_, blobs_, library_, staging_, temp_, catalog_, participants_, inputs_, outputs_, workflows_;
  std::shared_ptr<const FileDescriptor> lock_;  // flock; gone with the last copy
  std::shared_ptr<std::atomic<std::uint64_t>> tree_changes_ = std::make_shared<std::atomic<std::uint64_t>>(0);
  friend class TreeChange;
};

/// A change in a participant's folders, from before it to its end: then DataFolder::tree_changes() has grown.
class TreeChange {
 public:
  explicit TreeChange(const DataFolder& data) : count_(data.tree_changes_) {}
  ~TreeChange() { ++*count_; }
  TreeChange(const TreeChange&) = delete;
  TreeChange& operator=(const TreeChange&) = delete;

 private:
  std::shared_ptr<std::atomic<std::uint64_t>> count_;
};

}  // namespace atelier::files
