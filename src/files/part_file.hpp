// SPDX-License-Identifier: MIT
#pragma once
// What has come of a file whose digest is known, in a folder that several processes may share. A part is
// locked (flock) as long as somebody writes it. It stays when that process ends, however it ends, and another
// one goes on with it. Blocks.

#include <cstdint>
#include <optional>

#include "base/time.hpp"
#include "files/temp_file.hpp"

namespace atelier::files {

/// A new part, with nothing in it. The object leaves it where it is, unless it is empty; TempFile::remove()
/// and publish() take it away. Errors: disk_full, io.
[[nodiscard]] Result<TempFile> begin_part(const Directory& folder, const Digest& digest,
                                          std::uint64_t bytes_max);

/// The longest part of it that nobody writes, if there is one; such parts that have more than `bytes_max` are
/// removed. Its bytes are to be read back (TempFile::read_back) before more are written: whether they are the
/// right ones is seen by the digest at the end. Errors: io.
[[nodiscard]] Result<std::optional<TempFile>> take_part(const Directory& folder, const Digest& digest,
                                                        std::uint64_t bytes_max);

/// Removes the files, whatever their names, that nobody has locked and that have not changed for `age`; gives
/// how many. Errors: io (the list).
[[nodiscard]] Result<std::size_t> sweep_parts(const Directory& folder, WallTime now, milliseconds age);

}  // namespace atelier::files
