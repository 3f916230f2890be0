// SPDX-License-Identifier: MIT
#pragma once
// Texts in a prompt that could open on a worker what is not the participant's: there the files of all lie in
// ComfyUI's folders (design.md 14, P5). Told before a prompt is taken, and made harmless before it is posted.

#include <boost/json/fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "comfy/files.hpp"
#include "comfy/object_info.hpp"

namespace atelier::comfy {

struct ForeignName {
  std::string input;
  std::string pointer;   // JSON pointer inside the value; "" = the value itself
  std::string text;      // as written: "x.png [output]"
  std::string harmless;  // what opens nothing: "x.png [output_"
  bool refused = true;   // false: may be an ordinary text, which has to run
};

/// Of the literal values of a node, in any depth. `exists` says what the participant has.
/// Refused: what leads into a job's folder, wherever it stands; an annotated name with an extension, and a
/// media file outside its folder ("../x.png", "/x.png"), where files are named: in inputs that take files, in
/// members of objects and lists. Of plain texts such a path is refused if the widget has one line; an
/// annotated name is only made harmless. The places where a node saves are not looked at: rewrite() moves
/// them.
[[nodiscard]] std::vector<ForeignName> foreign_names(const NodeClass& node_class,
                                                     const boost::json::object& values,
                                                     const FileLookup& exists);

/// A member's name as a step of a JSON pointer: "a/b" -> "a~1b" (RFC 6901).
[[nodiscard]] std::string pointer_step(std::string_view name);

/// Where a file or folder is chosen: no link can be followed from there before the prompt runs.
[[nodiscard]] bool takes_no_link(const NodeClass& node_class, const InputSpec& spec);

/// Does this input name the place where an output is saved: `filename_prefix`, SaveLoRA's `prefix`?
[[nodiscard]] bool is_prefix(const NodeClass& node_class, const InputSpec& spec);
/// ComfyUI's dataset nodes, which take a `folder_name` below its output folder and do not look whether it
/// stays inside (0.21.0, nodes_dataset.py): the one that holds everybody's files.
[[nodiscard]] bool takes_output_folder(const NodeClass& node_class);

/// Is this the name of a file or folder that an agent laid down: "3d/<16 hex digits>-cup.glb",
/// "atelier/12-3/x",
/// ".atelier-incoming"?
[[nodiscard]] bool is_worker_name(std::string_view path);

}  // namespace atelier::comfy
