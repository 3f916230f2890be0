// SPDX-License-Identifier: MIT
#pragma once
// Random numbers of the simulation: one stream per purpose, all from the seed, so that a change in one piece
// of the simulation leaves the choices of the others as they were.

#include <cstdint>

#include "base/hash.hpp"
#include "base/time.hpp"

namespace atelier::sim {

class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t stream)
      : state_(seed * 0x9e3779b97f4a7c15ULL ^ stream * 0xd1342543de82ef95ULL) {
    next();
  }

  /// splitmix64 (Steele, Lea, Flood 2014).
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// 0 .. count - 1.
  std::uint64_t below(std::uint64_t count) { return next() % count; }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(most - least + 1)));
  }
  milliseconds ms(std::int64_t least, std::int64_t most) { return milliseconds{between(least, most)}; }
  /// True `permille` times in a thousand.
  bool chance(std::uint64_t permille) { return below(1'000) < permille; }
  Key128 key() {
    const std::uint64_t high = next();
    return Key128{high, next()};
  }

 private:
  std::uint64_t state_;
};

}  // namespace atelier::sim
