// SPDX-License-Identifier: MIT
#pragma once
// Reading what ComfyUI answers (comfyui-interface.md A4, C4, C5) and what a node's `ui` names. Pure; nothing
// in an answer is trusted.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/vocabulary.hpp"
#include "base/result.hpp"

namespace atelier::agent {

struct EngineStats {
  std::string comfy_version;
  std::string device;  // of the first device, "" without one
  std::uint64_t vram_total = 0, vram_free = 0;
};
/// GET /system_stats. Errors: bad_request, too_large.
[[nodiscard]] Result<EngineStats> read_stats(std::string_view body);

/// GET /prompt: `exec_info.queue_remaining`. Errors: bad_request, too_large.
[[nodiscard]] Result<std::uint64_t> read_queue_remaining(std::string_view body);

/// GET /experiment/models: names of folders, at most 64. Errors: bad_request, too_large.
[[nodiscard]] Result<std::vector<std::string>> read_model_folders(std::string_view body);
/// GET /experiment/models/FOLDER: adds name and bytes of each file; of one name in several folders the
/// largest counts. Errors: bad_request, too_large.
[[nodiscard]] Result<void> read_model_sizes(std::string_view body,
                                            std::map<std::string, std::uint64_t>& sizes);

/// GET /queue: does the run run, wait, or neither (absent)? Errors: bad_request, too_large.
[[nodiscard]] Result<RunPlace> find_in_queue(std::string_view body, std::string_view run_id);
/// Runs in the queue whose client_id begins with `client_prefix`: those of an earlier life of this agent.
[[nodiscard]] Result<std::vector<std::string>> runs_of(std::string_view body, std::string_view client_prefix);

/// GET /history/ID: nothing if the run is not there. Errors: bad_request, too_large.
[[nodiscard]] Result<std::optional<RunHistory>> read_history(std::string_view body, std::string_view run_id);

/// One file that a `ui` names.
struct UiFile {
  std::string place;  // "images/0"
  std::string filename, subfolder;
  std::string type;  // "output", "temp", "input", or whatever the node wrote
};
/// Every object with a string `filename` in the lists of a node's `ui`, in order. `ui` must be JSON of an
/// object.
[[nodiscard]] Result<std::vector<UiFile>> files_of_ui(std::string_view ui);

/// Where a file lies in ComfyUI's folder of that type, checked, and how a commit names it.
struct PlacedFile {
  std::string path;        // relative to the folder of `type`
  link::CommitFile named;  // without size, digest and file
};
/// Errors: forbidden (a path that leaves its folder), bad_request (a malformed name or an unknown type).
[[nodiscard]] Result<PlacedFile> place_file(const UiFile& file, RunKey key);

}  // namespace atelier::agent
