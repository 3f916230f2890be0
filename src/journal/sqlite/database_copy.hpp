// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "journal/sqlite/connection.hpp"

namespace atelier::journal::sqlite {

/// A synced copy of one moment of the database in the file `to` (mode 0600), which is made anew. Gives its
/// bytes. Errors: disk_full, io, and those of a connection.
[[nodiscard]] Result<std::uint64_t> copy_database(const Connection& from, const std::string& to);

/// fsync of a file, or of a folder's names. `flags`: of open().
[[nodiscard]] Result<void> sync_path(const std::string& path, int flags);
/// fsync of the folder in which `path` lies.
[[nodiscard]] Result<void> sync_folder_of(const std::string& path);

}  // namespace atelier::journal::sqlite
