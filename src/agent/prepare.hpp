// SPDX-License-Identifier: MIT
#pragma once
// From the accepted form of a prompt (GET /worker/prompt) to the body that the agent posts to its ComfyUI.
// Pure.

#include <string>
#include <string_view>
#include <vector>

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

/// Where the inputs of a run lie below ComfyUI's input folder.
struct InputPlaces {
  std::vector<std::string> paths;  // of each, in their order
  comfy::WorkerNames names;        // what the prompt says for them there
};
/// A file of its own has its hash in its name. Those of a folder keep their names, in a folder with the hash
/// of all of them in its name: what ComfyUI has cached for it is of these files.
[[nodiscard]] InputPlaces places_of(const std::vector<link::InputRef>& inputs);

/// Rewrites input names and output prefixes (comfy/rewrite), marks whose the results are (comfy/owner_mark)
/// and changes nothing else; the run id becomes prompt_id, the agent's own client_id takes the participant's
/// place. Errors: bad_request (not an accepted form); too_large;
/// bad_prompt, with a sentence for people: `by_address` (of this ComfyUI only the address is known), and what
/// a node saves could not be brought back.
[[nodiscard]] Result<Prepared> prepare_prompt(std::string_view accepted, const comfy::ObjectInfo& info,
                                              const comfy::WorkerNames& names, const link::Lease& lease,
                                              std::string_view client_id, bool by_address = false);

[[nodiscard]] comfy::FileType to_comfy(link::FileType type);

}  // namespace atelier::agent
