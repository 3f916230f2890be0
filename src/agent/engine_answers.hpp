// SPDX-License-Identifier: MIT
#pragma once
// Reading what ComfyUI answers (comfyui-interface.md A4, C4, C5). Pure; nothing in an answer is trusted.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/vocabulary.hpp"
#include "base/result.hpp"
#include "comfy/model_lists.hpp"

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

/// GET /features: the most bytes that a request to ComfyUI may have; nothing if it does not say, or has no
/// limit.
[[nodiscard]] std::optional<std::uint64_t> read_upload_limit(std::string_view body);

/// GET /experiment/models or /models: names of folders that hold models, as ModelLists takes them. Errors:
/// bad_request, too_large.
[[nodiscard]] Result<std::vector<std::string>> read_model_folders(std::string_view body);
/// The same route with /FOLDER: adds each file, with its facts where they are told. Errors: bad_request,
/// too_large.
[[nodiscard]] Result<void> read_models(std::string_view body, std::string_view folder,
                                       comfy::ModelLists& lists);
/// `{"NAME":bytes}` of those whose size is known; of one name in several folders the largest counts.
[[nodiscard]] std::string print_model_sizes(const comfy::ModelLists& lists);

/// GET /queue: does the run run, wait, or neither (absent)? Errors: bad_request, too_large.
[[nodiscard]] Result<RunPlace> find_in_queue(std::string_view body, std::string_view run_id);
/// Runs in the queue whose client_id begins with `client_prefix`: those of an earlier life of this agent.
[[nodiscard]] Result<std::vector<std::string>> runs_of(std::string_view body, std::string_view client_prefix);

/// GET /history/ID: nothing if the run is not there. Errors: bad_request, too_large.
[[nodiscard]] Result<std::optional<RunHistory>> read_history(std::string_view body, std::string_view run_id);

}  // namespace atelier::agent
