// SPDX-License-Identifier: MIT
#pragma once
// The files that a node's `ui` names, and where they lie. Pure; nothing in a `ui` is trusted.

#include <string>
#include <string_view>
#include <vector>

#include "agent/vocabulary.hpp"
#include "base/result.hpp"

namespace atelier::agent {

/// One file that a `ui` names.
struct UiFile {
  std::string place;  // "images/0"; of a member "gifs/0/workflow"
  std::string filename, subfolder;
  std::string type;  // "output", "temp", "input", or whatever the node wrote
  /// False: what names it may be something else, if no such file is there; or another file of the same place.
  bool sure = true;
};
/// In order, every object with a string `filename` in the lists of a node's `ui`, and what else names a file
/// that nobody but the run of `key` can have made:
/// - a path into its folder, "atelier/7-1/sub/cup.glb [output]", also an absolute one;
/// - the name of a mesh that ends with the 32 digits of a random number: Preview3D and Preview3DAdvanced
/// write
///   them beside all folders (ComfyUI 0.34, nodes_load_3d.py);
/// - "temp/x.png" behind it in `result`: Preview3D's background;
/// - the picture that VideoHelperSuite saves beside a video, in `workflow` of the video's object.
/// `ui` must be JSON of an object.
[[nodiscard]] Result<std::vector<UiFile>> files_of_ui(std::string_view ui, RunKey key);

/// Where a file lies in ComfyUI's folder of that type, checked, and how a commit names it.
struct PlacedFile {
  std::string path;        // relative to the folder of `type`
  link::CommitFile named;  // without size, digest and file
  /// It is no path for files::Directory, though ComfyUI on Linux writes such names ("a\\b.png"): only /view
  /// gives it. `named` has harmless ones.
  bool odd = false;
};
/// Errors: forbidden (a path that leaves its folder, or leads into another job's), bad_request (a malformed
/// name or an unknown type).
[[nodiscard]] Result<PlacedFile> place_file(const UiFile& file, RunKey key);

}  // namespace atelier::agent
