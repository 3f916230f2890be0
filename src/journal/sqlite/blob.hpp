// SPDX-License-Identifier: MIT
#pragma once
// How ids and checksums lie in the database.

#include <zlib.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "base/hash.hpp"

namespace atelier::journal::sqlite {

/// Big endian, so that `hex(id)` in the sqlite3 shell reads like Key128::hex.
inline std::array<char, 16> id_bytes(const Key128& id) {
  std::array<char, 16> out{};
  for (int i = 0; i < 8; ++i) {
    out[static_cast<std::size_t>(i)] = static_cast<char>(id.high >> (56 - 8 * i));
    out[static_cast<std::size_t>(8 + i)] = static_cast<char>(id.low >> (56 - 8 * i));
  }
  return out;
}

/// CRC-32: SQLite checks the frames of its log, but not the pages of its database. `before`: that of the
/// bytes before these.
inline std::int64_t checksum(std::string_view bytes, std::int64_t before = 0) {
  if (bytes.empty()) return before;  // zlib takes a null pointer for the beginning
  return static_cast<std::int64_t>(
      crc32_z(static_cast<uLong>(before), reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace atelier::journal::sqlite
