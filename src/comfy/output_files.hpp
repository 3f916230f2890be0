// SPDX-License-Identifier: MIT
#pragma once
// The files that the ui of a node names, as ComfyUI's nodes write it (comfyui-interface.md C5).

#include <boost/json/fwd.hpp>
#include <cstddef>
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

/// In the order in which they stand there: objects with a `filename`, and their picture_beside; the texts by
/// which 3D nodes name their file ("mesh/cup.glb [output]", in the output folder if they do not say), and
/// their background. `ui` is JSON text; what is no object names nothing. Errors: bad_request, too_large (8
/// MB).
[[nodiscard]] Result<std::vector<OutputFile>> output_files(std::string_view ui);

/// The name of the picture that VideoHelperSuite saves beside a video (another extension, the same folder and
/// number), in `workflow` of the video's object; "" if there is none.
[[nodiscard]] std::string_view picture_beside(const boost::json::object& file);

/// "temp/x.png" -> "x.png": the temp file that Preview3D shows behind its mesh, as a text behind the mesh's
/// in `result` (ComfyUI 0.21.0, comfy_api/latest/_ui.py, PreviewUI3D); "" if this is no such text.
[[nodiscard]] std::string_view background_of(std::string_view list, std::size_t index, std::string_view text);

/// `outputs` ({"node":ui}) as JSON text, with "missing":true in each object whose file `is_missing`; as it
/// was if nothing is missing or it cannot be read.
[[nodiscard]] std::string mark_missing(std::string outputs,
                                       const std::function<bool(const OutputFile&)>& is_missing);

}  // namespace atelier::comfy
