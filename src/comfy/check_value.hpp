// SPDX-License-Identifier: MIT
#pragma once
// What ComfyUI says about one input of one node. For .cpp files only.

#include <boost/json.hpp>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comfy/coerce.hpp"
#include "comfy/files.hpp"
#include "comfy/object_info.hpp"

namespace atelier::comfy {

/// {"type","message","details","extra_info"}.
[[nodiscard]] boost::json::object make_error(std::string_view type, std::string_view message,
                                             std::string_view details, boost::json::object extra_info);
/// [type or choices, options]: what errors call input_config.
[[nodiscard]] boost::json::value input_config(const InputSpec& spec);

[[nodiscard]] boost::json::object missing_input_error(const InputSpec& spec, bool dynamic);
[[nodiscard]] boost::json::object bad_link_error(const InputSpec& spec, const boost::json::value& received);
/// Of an input that its class does not declare.
[[nodiscard]] boost::json::object bad_link_error(std::string_view input, boost::json::object extra_info);
[[nodiscard]] boost::json::object mismatch_error(const InputSpec& spec,
                                                 const boost::json::value& received_type,
                                                 const boost::json::value& link);

/// A link into an input whose file or folder has to be known when the prompt is posted.
[[nodiscard]] boost::json::object unknown_name_error(const InputSpec& spec);

/// Puts `names`, the participant's files, into what an error says of the choices of an input with a
/// file_list.
void show_own_files(boost::json::object& error, const InputSpec& spec, const std::vector<std::string>& names);

/// May an output of this type be linked to this input? Unions share a member, "*" fits all.
[[nodiscard]] bool types_fit(const boost::json::value& received, const InputSpec& spec);

using CheckResult = std::expected<std::optional<boost::json::object>, PythonError>;

/// Unwraps and coerces a literal value in place, then checks it; of a folder, that there is something in it.
/// An unexpected result is an exception that ComfyUI's validation would raise.
[[nodiscard]] CheckResult check_value(const NodeClass& node_class, const InputSpec& spec,
                                      boost::json::value& value, const FileLookup& exists);

/// What the loaders' own validators look for: that a named file is there. And that nothing names what is
/// somebody else's (foreign_names.hpp).
[[nodiscard]] CheckResult check_files(const NodeClass& node_class, const boost::json::object& values,
                                      const FileLookup& exists);

}  // namespace atelier::comfy
