// SPDX-License-Identifier: MIT
#pragma once
// What the agent changes in a prompt before it posts it to its ComfyUI, and nothing else (design.md 5.7,
// core.md 6).

#include <boost/json/fwd.hpp>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.hpp"
#include "base/ids.hpp"
#include "comfy/files.hpp"
#include "comfy/object_info.hpp"

namespace atelier::comfy {

class PromptGraph;

/// One place in a prompt that names a file of the participant, or a folder.
struct InputFile {
  std::string node, input;
  std::string pointer;  // JSON pointer inside the value; "" = the value itself
  std::string value;    // as written: "3d/cup.glb [output]"
  std::string name;     // "3d/cup.glb"; of a folder "faces/" (names_folder)
  FileType type = FileType::input;
  auto operator<=>(const InputFile&) const = default;
};

/// Every place that names a file inside its folder: inputs with an upload flag, and annotated names ("x.png
/// [input]") anywhere in the literal values of other declared inputs; and every place that names a folder
/// below it as ComfyUI would list it. With `exists`, also combo and STRING values with a media extension for
/// which it says yes in the input folder, and such members of objects and lists (Load3D's pictures). Order:
/// the prompt's.
[[nodiscard]] std::vector<InputFile> input_files_of(const PromptGraph& graph, const FileLookup& exists = {});

/// The name under which an input lies on a worker: "3d/cup.glb" -> "3d/<first 16 hex digits>-cup.glb". A file
/// that is itself called "a.png[output]" becomes "...-a.png[output_": ComfyUI would look for "a.png"
/// elsewhere. For a folder, without '/' at its end, the digest is of all that is in it.
[[nodiscard]] std::string worker_input_name(std::string_view name, const Digest& digest);

/// (type, name without annotation) -> name in the worker's input folder; of a folder "faces/" -> its name.
using WorkerNames = std::map<std::pair<FileType, std::string>, std::string>;

/// Puts worker names in place of file names (without annotation: they all lie in the worker's input folder; a
/// file that `names` does not know stays as it is) and moves outputs into a folder of the job and epoch,
/// those of ComfyUI's dataset nodes, which take a folder, too. A prefix that comes by a link is moved if it
/// can be followed (joined_text.hpp). What could open somebody else's file is made
/// harmless (foreign_names.hpp).
/// Lists that are no links get their `__value__` wrapper back, which the accepted form has lost and the
/// worker's validation wants.
void rewrite(boost::json::object& prompt, const ObjectInfo& info, const WorkerNames& names, JobId job,
             Epoch epoch);

/// "atelier/<job>-<epoch>": the folder below the worker's output folder in which a job's files land.
[[nodiscard]] std::string job_folder(JobId job, Epoch epoch);
/// `prefix` inside job_folder, with harmless names (output_name.hpp), or unchanged if it is absolute, empty
/// (normal form ".") or leaves the folder: ComfyUI shall raise its own error.
[[nodiscard]] std::string worker_prefix(std::string_view prefix, JobId job, Epoch epoch);

}  // namespace atelier::comfy
