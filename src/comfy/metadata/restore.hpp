// SPDX-License-Identifier: MIT
#pragma once
// The participant's own prompt in the place of the rewritten one, in every kind of file into which ComfyUI
// writes its prompt. Facts from ComfyUI 0.21.0: nodes.py (SaveImage, SaveLatent), comfy_api/latest/_ui.py
// (images, animations, audio), comfy_extras/nodes_video.py, nodes_images.py (SVG), nodes_hunyuan3d.py (GLB),
// nodes_model_merging.py (safetensors), execution.py (IsChangedCache). Pure.

#include <optional>
#include <string>
#include <string_view>

#include "comfy/metadata/byte_source.hpp"
#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {

/// Both as Python's json.dumps prints them.
struct PromptTexts {
  std::string own;     // the participant's, as ComfyUI has it after its validation
  std::string posted;  // the rewritten one, likewise
};

/// What the participant's ComfyUI would have written where this one wrote `stored`: the own prompt, and in
/// its nodes the member `is_changed` that ComfyUI adds to those that tell whether their files changed. It is
/// taken over for a node that stands in `stored` as it was posted; so the text of another run adds nothing.
[[nodiscard]] std::string own_prompt_text(const PromptTexts& prompts, std::string_view stored);

/// The edits that put `new_text(stored)` in the place of each prompt in the file; none if it has no prompt,
/// is of no known kind, or has the right one already. The kind is seen from the bytes, not from a name.
/// Known: PNG (also animated), WebP, MP4 and MOV, Matroska and WebM, FLAC, MP3, Opus, SVG, GLB, safetensors.
/// Reads no more than the metadata and the headers on the way. Errors: bad_request (cut off or broken),
/// unsupported (no room for the text, or a form that is not known), too_large, io. With `workflow`, for a
/// file that somebody else's run made, that stands in the place of the workflow of a PNG, too, or nothing if
/// it is empty; of other kinds the workflow stays.
[[nodiscard]] Result<Edits> prompt_edits(const ByteSource& file, const NewText& new_text,
                                         const std::optional<std::string>& workflow = std::nullopt);

}  // namespace atelier::comfy
