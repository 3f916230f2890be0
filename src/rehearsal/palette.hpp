// SPDX-License-Identifier: MIT
#pragma once
// Palettes as Pillow makes and uses them (13.0): median cut, and the nearest entry on a grid of 64 x 64 x 64.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace atelier::rehearsal {

using Colour = std::array<std::uint8_t, 3>;  // red, green, blue
using Palette = std::vector<Colour>;

/// 1 to `colours` (1..256) entries for these pixels (at least one). Boxes of colours are cut in two, the one
/// with the most pixels first, along its longest side (weights 77, 150, 29), where half of its pixels lie
/// above; an entry is the mean of a box. With more than 65536 colours the lowest bits do not count.
[[nodiscard]] Palette median_cut(std::span<const Colour> pixels, std::size_t colours);

/// Nearest entries, remembered. Not for two threads at once.
class NearestColour {
 public:
  explicit NearestColour(Palette palette);
  /// The entry nearest to the colour without its lowest two bits (so Pillow's cache has it); of equally near
  /// ones the first.
  [[nodiscard]] const Colour& operator()(const Colour& colour);

 private:
  static constexpr std::uint16_t kUnknown = 0xFFFF;
  Palette palette_;
  std::vector<std::uint16_t> cells_;
};

}  // namespace atelier::rehearsal
