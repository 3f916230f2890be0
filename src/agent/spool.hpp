// SPDX-License-Identifier: MIT
#pragma once
// The folder of an agent's own for outputs on their way, and for what its next process has to know of them.
// Blocks; the names may be asked for on any one thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/kept_run.hpp"
#include "files/directory.hpp"

namespace atelier::agent {

class Spool {
 public:
  /// A folder below `parent`, which is made if it is missing: the one that an earlier process of the same
  /// `owner` left, if it kept runs there, else a new one. What others left that are dead goes; if they kept
  /// runs, a day later. Errors: config (no such folder can be made), io, disk_full.
  [[nodiscard]] static Result<Spool> make(const std::string& parent, std::string_view owner);
  Spool(Spool&&) noexcept;
  Spool& operator=(Spool&&) = delete;
  /// Removes the folder unless runs are kept in it.
  ~Spool();
  [[nodiscard]] const files::Directory& folder() const { return folder_; }
  [[nodiscard]] std::string fresh_name();

  /// Writes it whole or not at all, under kept_name(). Errors: too_large, disk_full, io.
  [[nodiscard]] Result<void> keep(const KeptRun& kept) const;
  /// What was kept since this machine was started. What cannot be read is put aside: it is told in the log
  /// and lies there until the next start. All files that none of them names are removed.
  [[nodiscard]] Result<std::vector<KeptRun>> take_up();

 private:
  Spool(std::string path, files::Directory folder) : path_(std::move(path)), folder_(std::move(folder)) {}
  [[nodiscard]] Result<KeptRun> read(const std::string& name) const;

  std::string path_;
  files::Directory folder_;  // locked (flock) as long as it is used
  std::uint64_t counter_ = 0;
};

/// Who may take up what `worker` kept that joined this gateway: for Spool::make.
[[nodiscard]] std::string spool_owner(std::string_view worker, std::string_view gateway);

}  // namespace atelier::agent
