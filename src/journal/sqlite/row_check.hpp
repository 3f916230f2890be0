// SPDX-License-Identifier: MIT
#pragma once
// What must be true of a row before it is believed: SQLite checks neither the pages of its database nor what
// stands in a column.

#include "base/result.hpp"
#include "base/time.hpp"

namespace atelier::journal::sqlite {

/// What stands beside an entry's event.
struct EntryNumbers {
  Time time;
  WallTime wall;
  bool operator==(const EntryNumbers&) const = default;
};

/// Time never goes back, no journal is a century old, and wall clocks show the years 1970 to 9999. `before`:
/// of the entry before it, 0 if there is none. Errors: io.
[[nodiscard]] Result<void> check_numbers(const EntryNumbers& numbers, Time before);

}  // namespace atelier::journal::sqlite
