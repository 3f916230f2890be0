// SPDX-License-Identifier: MIT
#pragma once
// What must be true of a row before it is believed: SQLite checks neither the pages of its database nor what
// stands in a column.

#include <cstdint>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "journal/sqlite/connection.hpp"

namespace atelier::journal::sqlite {

/// What stands beside an entry's event.
struct EntryNumbers {
  Time time;
  WallTime wall;
  bool operator==(const EntryNumbers&) const = default;
};

/// A row of `entries` as it lies there. `payload` lives as long as what it was read from.
struct EntryRow {
  Sequence sequence;
  EntryNumbers numbers;
  std::int64_t kind = 0, gateway = 0, ticket = 0, crc = 0;
  std::string_view payload;
};

/// The row on which `statement` stands, of kEntriesAfter or kLastEntry.
[[nodiscard]] EntryRow entry_row(const Statement& statement);

/// The checksum of all of a row but its crc: above 32 bits, so that it is none of those that older releases
/// wrote, which are of the payload alone.
[[nodiscard]] std::int64_t checksum_of(const EntryRow& row);
[[nodiscard]] std::int64_t checksum_of_checkpoint(std::int64_t id, Sequence upto,
                                                  const EntryNumbers& numbers);

/// Its checksum, of either kind, and check_numbers(). Errors: io.
[[nodiscard]] Result<void> check_row(const EntryRow& row, Time before);

/// Time never goes back, no journal is a century old, and wall clocks show the years 1970 to 9999. `before`:
/// of the entry before it, 0 if there is none. Errors: io.
[[nodiscard]] Result<void> check_numbers(const EntryNumbers& numbers, Time before);

}  // namespace atelier::journal::sqlite
