// SPDX-License-Identifier: MIT
#include "journal/sqlite/row_check.hpp"

namespace atelier::journal::sqlite {
namespace {

constexpr Time kTimeMax{100ll * 366 * 24 * 3'600'000};
constexpr WallTime kWallMax{253'402'300'799'999};  // 9999-12-31

}  // namespace

Result<void> check_numbers(const EntryNumbers& numbers, Time before) {
  if (numbers.time < before)
    return fail(Errc::io, "its time is before that of the entry before it; see `atelier journal check`");
  if (numbers.time > kTimeMax || numbers.wall < WallTime{} || numbers.wall > kWallMax)
    return fail(Errc::io, "its time is none that a clock can show; see `atelier journal check`");
  return {};
}

}  // namespace atelier::journal::sqlite
