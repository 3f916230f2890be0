// SPDX-License-Identifier: MIT
#pragma once
// From the accepted form of a prompt (GET /worker/prompt) to the body that the agent posts to its ComfyUI.
// Pure.

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "comfy/object_info.hpp"
#include "comfy/rewrite.hpp"
#include "link/messages.hpp"

namespace atelier::agent {

struct Prepared {
  std::string body;  // of POST /prompt
  std::string
      original_prompt;   // the participant's own graph, as Python's json.dumps prints it: for PNG metadata
  std::string workflow;  // of its extra_pnginfo, printed so, too; empty if there is none
};

/// Rewrites input names and output prefixes (comfy/rewrite) and changes nothing else; the run id becomes
/// prompt_id, the agent's own client_id takes the participant's place. Errors: bad_request (not an accepted
/// form), too_large.
[[nodiscard]] Result<Prepared> prepare_prompt(std::string_view accepted, const comfy::ObjectInfo& info,
                                              const comfy::WorkerNames& names, const link::Lease& lease,
                                              std::string_view client_id);

[[nodiscard]] comfy::FileType to_comfy(link::FileType type);

/// A PNG with `original_prompt` in the place of its `prompt` text and, if `workflow` is given, that (or, if
/// it is empty, nothing) in the place of its `workflow`. Nothing if there is nothing to put right: it has
/// neither text, or `bytes` do not begin like a PNG. Errors: bad_request for a PNG that is cut off or broken.
[[nodiscard]] Result<std::optional<std::string>> restore_png(
    std::string_view bytes, std::string_view original_prompt,
    std::optional<std::string_view> workflow = std::nullopt);

}  // namespace atelier::agent
