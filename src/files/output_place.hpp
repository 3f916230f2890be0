// SPDX-License-Identifier: MIT
#pragma once
// Whether an output can get its name at all: asked before a commit is recorded. Any thread; blocks.

#include <string_view>

#include "files/participant_folder.hpp"

namespace atelier::files {

/// Whether OutputNames::link can give the name, as far as the folder tells now; whether it is taken does not
/// matter. Errors: conflict (a file stands where a folder is needed), bad_request, forbidden, too_large: for
/// good; io, and others that may pass.
[[nodiscard]] Result<void> check_output_place(const DataFolder& data, ParticipantId participant,
                                              FolderType type, std::string_view folder,
                                              std::string_view name);

}  // namespace atelier::files
