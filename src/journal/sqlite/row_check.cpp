// SPDX-License-Identifier: MIT
#include "journal/sqlite/row_check.hpp"

#include <array>
#include <initializer_list>

#include "journal/sqlite/blob.hpp"

namespace atelier::journal::sqlite {
namespace {

constexpr Time kTimeMax{100ll * 366 * 24 * 3'600'000};
constexpr WallTime kWallMax{253'402'300'799'999};  // 9999-12-31

constexpr std::int64_t kWholeRow = 1ll << 32;
constexpr std::size_t kNumbersMax = 6;

/// Eight bytes of each, the lowest first.
std::int64_t checksum_of_all(std::initializer_list<std::int64_t> numbers, std::string_view payload) {
  std::array<char, kNumbersMax * 8> bytes{};
  std::size_t size = 0;
  for (const std::int64_t number : numbers) {
    for (int shift = 0; shift < 64; shift += 8)
      bytes.at(size++) = static_cast<char>(static_cast<std::uint64_t>(number) >> shift);
  }
  return kWholeRow | checksum(payload, checksum({bytes.data(), size}));
}

}  // namespace

EntryRow entry_row(const Statement& statement) {
  EntryRow row;
  row.sequence = {static_cast<std::uint64_t>(statement.integer(0))};
  row.numbers = {{statement.integer(1)}, {statement.integer(2)}};
  row.kind = statement.integer(3);
  row.gateway = statement.integer(4);
  row.ticket = statement.integer(5);
  row.crc = statement.integer(6);
  row.payload = statement.blob(7);
  return row;
}

std::int64_t checksum_of(const EntryRow& row) {
  return checksum_of_all({static_cast<std::int64_t>(row.sequence.value), row.numbers.time.ms,
                          row.numbers.wall.ms, row.kind, row.gateway, row.ticket},
                         row.payload);
}

std::int64_t checksum_of_checkpoint(std::int64_t id, Sequence upto, const EntryNumbers& numbers) {
  return checksum_of_all({id, static_cast<std::int64_t>(upto.value), numbers.time.ms, numbers.wall.ms}, {});
}

Result<void> check_row(const EntryRow& row, Time before) {
  const bool whole = row.crc >= kWholeRow;
  if (row.crc != (whole ? checksum_of(row) : checksum(row.payload)))
    return fail(Errc::io, "its checksum is wrong; see `atelier journal check`");
  return check_numbers(row.numbers, before);
}

Result<void> check_numbers(const EntryNumbers& numbers, Time before) {
  if (numbers.time < before)
    return fail(Errc::io, "its time is before that of the entry before it; see `atelier journal check`");
  if (numbers.time > kTimeMax || numbers.wall < WallTime{} || numbers.wall > kWallMax)
    return fail(Errc::io, "its time is none that a clock can show; see `atelier journal check`");
  return {};
}

}  // namespace atelier::journal::sqlite
