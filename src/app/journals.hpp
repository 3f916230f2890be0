// SPDX-License-Identifier: MIT
#pragma once
// The journal that a configuration names, whatever it is kept in.

#include <memory>
#include <string>

#include "base/config.hpp"
#include "journal/journal.hpp"

namespace atelier::app {

[[nodiscard]] bool keeps_journal_in_redis(const Config& config);
/// DATA_DIR/atelier.db.
[[nodiscard]] std::string journal_database(const Config& config);

/// For the one server that writes it. Errors: as the backend's open().
[[nodiscard]] awaitable<Result<std::unique_ptr<journal::Journal>>> open_journal(Runtime& runtime,
                                                                                const Config& config);
/// For the journal commands; changes nothing. Errors: as the backend's open_reader().
[[nodiscard]] Result<std::unique_ptr<journal::StoreReader>> open_journal_reader(const Config& config);

}  // namespace atelier::app
