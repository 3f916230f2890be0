// SPDX-License-Identifier: MIT
#pragma once
// The folders of runs in ComfyUI's output folder (comfy/rewrite: atelier/<job>-<epoch>). A commit leaves them
// there: ComfyUI's cache may name their files again.

#include <map>
#include <set>
#include <string>

#include "agent/vocabulary.hpp"
#include "base/time.hpp"
#include "files/directory.hpp"

namespace atelier::agent {

/// What stands in the run's folder, by path below `output`. Before the run that is what another workshop, or
/// this one with an older journal, left of a job of the same number. It stays: ComfyUI's cache may name it.
/// Errors: io, forbidden.
[[nodiscard]] Result<std::map<std::string, files::FileKey>> files_of_job(const files::Directory& output,
                                                                         RunKey key);

/// Removes the runs' folders that have not changed for `age`, but those of `kept`; gives how many. What
/// cannot be removed stays, with a line in the log. Errors: io (the list).
[[nodiscard]] Result<std::size_t> sweep_job_folders(const files::Directory& output, WallTime now,
                                                    milliseconds age, const std::set<RunKey>& kept);

}  // namespace atelier::agent
