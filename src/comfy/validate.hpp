// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's validation of a posted prompt against a catalog, in its order and with its error shapes
// (comfyui-interface.md C2; facts: ComfyUI 0.21.0, execution.py, validate_prompt and validate_inputs).

#include <functional>
#include <string>
#include <vector>

#include "comfy/files.hpp"
#include "comfy/json.hpp"
#include "comfy/object_info.hpp"
#include "comfy/prompt.hpp"

namespace atelier::comfy {

class PromptGraph;

/// At least one output that can run makes a prompt accepted; node_errors then tell of the others.
struct Validation {
  bool accepted = false;
  std::vector<std::string> outputs_to_execute;  // in the prompt's order
  Json node_errors;                             // object, possibly empty
  Json error;                                   // {type, message, details, extra_info}; null if accepted

  /// The body of the 400: {"error":...,"node_errors":...}.
  [[nodiscard]] std::string error_body() const;
};

/// Checks `request.prompt` and coerces literal values in place (INT, FLOAT, STRING, BOOLEAN, `__value__`), so
/// that it is the accepted form afterwards. `exists` answers for upload combos, whose own validators look for
/// the file. Differences from ComfyUI: other custom validators are not known here and surface on the worker;
/// what could open somebody else's file or folder there is refused (foreign_names.hpp), and so is a link that
/// ComfyUI follows unchecked to a node that is not there;
/// errors of one node stand in declared order (there: a set's); chains deeper than 500 nodes are refused as
/// there (RecursionError). Time: linear in links. Any bytes that parse_prompt_request let through are fine.
[[nodiscard]] Validation validate(PromptRequest& request, const ObjectInfo& info, const FileLookup& exists);
/// The same with the graph of `request.prompt`, whose values it coerces.
[[nodiscard]] Validation validate(const PromptRequest& request, const PromptGraph& graph,
                                  const FileLookup& exists);

/// Is there an error about a combo that lists files? The catalog knows none of them.
[[nodiscard]] bool errors_list_files(const Validation& validation, const PromptGraph& graph);
/// Puts them into what the first hundred of these errors say of the choices; `files` as in ObjectInfoView.
void list_files_in_errors(Validation& validation, const PromptGraph& graph,
                          const std::function<std::vector<std::string>(const FileListKey&)>& files);

}  // namespace atelier::comfy
