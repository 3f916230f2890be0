// SPDX-License-Identifier: MIT
#pragma once
// `atelier journal backup` and `restore` (reliability.md 19, 20).

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace atelier::journal::sqlite {

/// Writes the journal as it is at one moment into the new file `to` (mode 0600, synced); a server may run and
/// write. Gives its bytes. Blocks. Errors: conflict (`to` exists), not_found, config (not a journal, an older
/// schema), newer_version, disk_full, io.
[[nodiscard]] Result<std::uint64_t> back_up(const std::string& path, const std::string& to);

struct RestoreReport {
  std::uint64_t bytes = 0;
  std::string kept_as;  // what was there before; "" if nothing was
};

/// Puts a copy of the backup `from`, brought up to date and read to its end, in the place of the journal, and
/// keeps what was there beside it. Only while no server runs. A crash at any moment leaves the one or the
/// other. Blocks. Errors: config (in use by a server, `from` is no journal, or something in it cannot be read
/// or is not what it was), not_found (`from`), newer_version, disk_full, io.
[[nodiscard]] Result<RestoreReport> restore(const std::string& path, const std::string& from);

}  // namespace atelier::journal::sqlite
