// SPDX-License-Identifier: MIT
#pragma once
// Where a committed file lies, as core has it and as the participants' folders have it.

#include "core/types/events.hpp"
#include "files/participant_folder.hpp"

namespace atelier::workshop {

[[nodiscard]] inline files::FolderType folder_type(core::OutputType type) {
  switch (type) {
    case core::OutputType::input:
      return files::FolderType::input;
    case core::OutputType::temp:
      return files::FolderType::temp;
    case core::OutputType::output:
      break;
  }
  return files::FolderType::output;
}

}  // namespace atelier::workshop
