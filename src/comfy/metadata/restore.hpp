// SPDX-License-Identifier: MIT
#pragma once
// The participant's own prompt in the place of the rewritten one, and their workflow, in every kind of file
// into which ComfyUI writes them. Facts from ComfyUI 0.21.0: nodes.py (SaveImage, SaveLatent),
// comfy_api/latest/_ui.py (images, animations, audio), comfy_extras/nodes_video.py, nodes_images.py (SVG),
// nodes_hunyuan3d.py (GLB), nodes_model_merging.py (safetensors), execution.py (IsChangedCache). Pure.

#include <string>
#include <string_view>

#include "comfy/metadata/byte_source.hpp"
#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {

/// All as Python's json.dumps prints them.
struct PromptTexts {
  std::string own;       // the participant's prompt, as ComfyUI has it after its validation
  std::string posted;    // the rewritten one, likewise
  std::string workflow;  // the participant's; empty if the prompt came without one
};

/// What the participant's ComfyUI would have written where this one wrote `stored`: the own prompt, and in
/// its nodes the member `is_changed` that ComfyUI adds to those that tell whether their files changed. It is
/// taken over for a node that stands in `stored` as it was posted; so the text of another run adds nothing.
[[nodiscard]] std::string own_prompt_text(const PromptTexts& prompts, std::string_view stored);

/// What belongs where `stored` stands under `name`: the prompt as above, or the workflow. This one differs
/// only in a file that ComfyUI's cache kept of another run; if this run has none, it is "{}" there.
[[nodiscard]] std::string own_text(const PromptTexts& texts, std::string_view name, std::string_view stored);

/// The edits that put `new_text(name, stored)` in the place of each prompt and workflow in the file; none if
/// it has none, is of no known kind, or has the right ones already. The kind is seen from the bytes, not from
/// a name. Known: PNG (also animated), WebP, MP4 and MOV, Matroska and WebM, FLAC, MP3, Opus, SVG, EXR,
/// GLB, safetensors. Reads no more than the metadata and the headers on the way. Errors: bad_request (cut off
/// or broken), unsupported (no room for the text, or a form that is not known), too_large, io.
[[nodiscard]] Result<Edits> prompt_edits(const ByteSource& file, const NewText& new_text);

}  // namespace atelier::comfy
