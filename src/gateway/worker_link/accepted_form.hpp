// SPDX-License-Identifier: MIT
#pragma once
// The accepted form of a prompt (core.md 3), as the participant's face stored it with `submitted`, and what
// the worker link needs of it: its bytes for the worker, and the pinned inputs.

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "link/messages.hpp"

namespace atelier::gateway {

struct AcceptedForm {
  std::shared_ptr<const std::string> bytes;
  std::vector<link::InputRef> pins;
  std::string preview_method;  // extra_data.preview_method
};

/// Errors: io if the attachment is not what the face writes.
[[nodiscard]] Result<AcceptedForm> read_accepted_form(std::shared_ptr<const std::string> bytes);

/// What is stored with `committed`: the node's ui with ComfyUI's names, where each file stands in it, what
/// node shows it.
[[nodiscard]] std::string commit_attachment(const link::Commit& commit);

struct CommitParts {
  std::string ui;                   // JSON object
  std::vector<std::string> places;  // "images/0", one per file
  std::string display_node;
};
[[nodiscard]] Result<CommitParts> read_commit_attachment(std::string_view bytes);

/// A name that a participant sees, for the places of a ui that name the file, in lines: "images/0", or
/// "gifs/0/workflow" for a member of an object.
struct GivenName {
  std::string place, folder, name, type;
};
/// The ui with the names given put in, also where an object has its file's whole path on the worker, and
/// without the ids by which the worker's ComfyUI knows these files. Places that are not there are ignored
/// (files without a ui entry).
[[nodiscard]] Result<std::string> ui_with_names(std::string_view ui, const std::vector<GivenName>& names);

/// Every occurrence of `run_id` (a UUID) replaced by the participant's prompt_id, as JSON text.
[[nodiscard]] std::string with_prompt_id(std::string json, std::string_view run_id,
                                         std::string_view prompt_id);

/// What is stored with `ended`: {"event":..,"status":..,"meta":..}; parts that are not JSON become null.
[[nodiscard]] std::string report_attachment(std::string_view event, std::string_view report);

}  // namespace atelier::gateway
