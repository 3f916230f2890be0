// SPDX-License-Identifier: MIT
#pragma once
// Brings a database up to this release's schema. Blocking; the connection's thread.

#include <cstdint>

#include "journal/sqlite/connection.hpp"

namespace atelier::journal::sqlite {

/// From the schema version `from` on, 0 being an empty database; nothing if it is up to date. A crash leaves
/// one schema or the next, never between. Errors: disk_full, io.
[[nodiscard]] Result<void> migrate(const Connection& connection, std::int64_t from);

}  // namespace atelier::journal::sqlite
