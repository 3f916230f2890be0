// SPDX-License-Identifier: MIT
#include "journal/sqlite/schema.hpp"

#include <fmt/format.h>

#include "base/crash_point.hpp"
#include "journal/sqlite/sql.hpp"

namespace atelier::journal::sqlite {

Result<void> migrate(const Connection& connection, std::int64_t from) {
  for (std::int64_t version = from; version < sql::kSchemaVersion; ++version) {
    // Schema and version in one transaction: a crash leaves either the old one or the new one.
    const std::string script =
        fmt::format("BEGIN IMMEDIATE;{}PRAGMA application_id = {};PRAGMA user_version = {};COMMIT;",
                    sql::kMigrations[version], sql::kApplicationId, version + 1);
    if (auto done = connection.execute(script.c_str()); !done) {
      if (connection.in_transaction()) static_cast<void>(connection.execute(sql::kRollback));
      return done;
    }
    crash_point("journal_after_migration");
  }
  return {};
}

}  // namespace atelier::journal::sqlite
