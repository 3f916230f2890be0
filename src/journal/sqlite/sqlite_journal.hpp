// SPDX-License-Identifier: MIT
#pragma once
// The default journal: one SQLite database, one server (design.md 7, core.md 7, reliability.md C2).

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "journal/journal.hpp"
#include "journal/sqlite/guarded_vfs.hpp"

namespace atelier::journal::sqlite {

struct Options {
  std::string path;       // DATA_DIR/atelier.db; its folder exists
  FaultInjection inject;  // tests only
};

/// Opens or makes the database; blocks (recovery of the log included). The journal has a writer and a reader
/// thread; it is destroyed before its Runtime, on the Runtime's thread, after the coroutines that use it.
/// A database whose newest entries are damaged opens, with a latched failure (healthy()); it is not written.
/// Errors: config (in use by another server, not a journal, cannot be opened: exit 2), newer_version (exit
/// 3), disk_full, io.
[[nodiscard]] Result<std::unique_ptr<Journal>> open(Runtime& runtime, Options options);

/// For `journal dump` and `journal check`, also beside a running server: opens the database read-only.
/// Errors: not_found, config, newer_version, io.
[[nodiscard]] Result<std::unique_ptr<StoreReader>> open_reader(const std::string& path);

}  // namespace atelier::journal::sqlite
