// SPDX-License-Identifier: MIT
#pragma once
// What kind of content a name promises, by its extension only (ComfyUI lists input files by it, CI E).

#include <string_view>

namespace atelier::files {

enum class ContentKind { other, image, video, audio, model };

/// The MIME type of a name, e.g. "image/png"; "application/octet-stream" when unknown. Case of the extension
/// is ignored.
[[nodiscard]] std::string_view content_type(std::string_view name);
/// The kind for which ComfyUI's loaders list the name: by the first part of the type; webp is an image, glb
/// and fbx are models.
[[nodiscard]] ContentKind content_kind(std::string_view name);

}  // namespace atelier::files
