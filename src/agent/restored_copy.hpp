// SPDX-License-Identifier: MIT
#pragma once
// A copy of an output with the participant's own prompt in its metadata.

#include <memory>
#include <optional>
#include <string>

#include "agent/run_files.hpp"
#include "agent/spool.hpp"
#include "files/file_descriptor.hpp"
#include "runtime/runtime.hpp"

namespace atelier::agent {

/// The copy in the spool with its digest; nothing if `file` may stay as it is: no prompt inside, the right
/// one already, or a copy of one of the run's inputs, whose metadata is the participant's. The copy is made
/// in turns of 4 MB on the file pool and deleted with the run. Errors: as comfy::prompt_edits (nothing was
/// copied), disk_full and io (what was copied is gone again). A file that is not
/// the run's `own`, but shown out of ComfyUI's cache, gets empty texts where its owner's have no room.
[[nodiscard]] awaitable<Result<std::optional<LocalFile>>> restored_copy(
    Runtime& runtime, std::shared_ptr<const files::File> file, std::shared_ptr<RunFiles> run, Spool& spool,
    bool own);

}  // namespace atelier::agent
