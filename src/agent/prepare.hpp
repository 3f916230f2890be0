// SPDX-License-Identifier: MIT
#pragma once
// From the accepted form of a prompt (GET /worker/prompt) to the body that the agent posts to its ComfyUI.
// Pure.

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "comfy/metadata/restore.hpp"
#include "comfy/object_info.hpp"
#include "comfy/rewrite.hpp"
#include "link/messages.hpp"

namespace atelier::agent {

struct Prepared {
  std::string body;          // of POST /prompt
  comfy::PromptTexts texts;  // for the metadata of what comes out
};

/// Rewrites input names and output prefixes (comfy/rewrite) and changes nothing else; the run id becomes
/// prompt_id, the agent's own client_id takes the participant's place. Errors: bad_request (not an accepted
/// form), too_large.
[[nodiscard]] Result<Prepared> prepare_prompt(std::string_view accepted, const comfy::ObjectInfo& info,
                                              const comfy::WorkerNames& names, const link::Lease& lease,
                                              std::string_view client_id);

[[nodiscard]] comfy::FileType to_comfy(link::FileType type);

}  // namespace atelier::agent
