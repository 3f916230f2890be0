// SPDX-License-Identifier: MIT
#pragma once
// The files that the ui of a node names, as ComfyUI's nodes write it (comfyui-interface.md C5).

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "comfy/files.hpp"
#include "comfy/json.hpp"

namespace atelier::comfy {

struct OutputFile {
  FileType type = FileType::output;
  std::string folder, name;
  auto operator<=>(const OutputFile&) const = default;
};

/// In the order in which they stand there: objects with a `filename`, and the texts by which 3D nodes name
/// their file ("mesh/cup.glb", in the output folder). `ui` is JSON text; what is no object names nothing.
/// Errors: bad_request, too_large (8 MB).
[[nodiscard]] Result<std::vector<OutputFile>> output_files(std::string_view ui);

/// `outputs` ({"node":ui}) as JSON text, with "missing":true in each object whose file `is_missing`; as it
/// was if nothing is missing or it cannot be read.
[[nodiscard]] std::string mark_missing(std::string outputs,
                                       const std::function<bool(const OutputFile&)>& is_missing);

}  // namespace atelier::comfy
