// SPDX-License-Identifier: MIT
#pragma once
// What the fuzz targets share. The first bytes of an input choose how a target runs (where it cuts, which
// limits); the rest is what comes from outside. So a seed is a readable file.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace atelier::fuzz {

/// Ends the program if an invariant does not hold: libFuzzer then keeps the input.
inline void expect(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "broken invariant: %s\n", invariant);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// The first byte of what is left, 0 at the end.
inline unsigned take_choice(std::string_view& bytes) {
  if (bytes.empty()) return 0;
  const auto choice = static_cast<unsigned char>(bytes.front());
  bytes.remove_prefix(1);
  return choice;
}

/// Where bytes are cut into pieces: the same for the same seed.
class Cuts {
 public:
  explicit Cuts(unsigned seed, std::size_t few = 7)
      : state_(seed * 2654435761U + 1), few_(few), only_few_((seed & 1) != 0) {}
  /// The size of the next piece of `left` bytes: 1 .. left, mostly 1 .. few.
  std::size_t next(std::size_t left) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    const std::size_t most = only_few_ || state_ % 4 != 0 ? few_ : left;
    return std::min<std::size_t>(left, 1 + (state_ >> 8) % std::max<std::size_t>(most, 1));
  }
  /// Cuts the next piece off the front of `bytes`.
  std::string_view take(std::string_view& bytes) {
    const std::string_view piece = bytes.substr(0, next(bytes.size()));
    bytes.remove_prefix(piece.size());
    return piece;
  }

 private:
  std::uint32_t state_;
  std::size_t few_;
  bool only_few_;
};

}  // namespace atelier::fuzz
