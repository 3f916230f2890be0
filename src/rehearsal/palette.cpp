// SPDX-License-Identifier: MIT
#include "rehearsal/palette.hpp"

#include <algorithm>
#include <numeric>

namespace atelier::rehearsal {
namespace {

constexpr std::size_t kColoursMax = 65536;               // that are told apart
constexpr std::array<int, 3> kSideWeights{77, 150, 29};  // about the brightness of red, green and blue

std::uint32_t key_of(const Colour& colour, unsigned dropped_bits) {
  return static_cast<std::uint32_t>(colour[0] >> dropped_bits << 16 | colour[1] >> dropped_bits << 8 |
                                    colour[2] >> dropped_bits);
}
int part_of(std::uint32_t key, std::size_t axis) { return static_cast<int>(key >> (16 - 8 * axis) & 0xFF); }

struct Counted {
  std::uint32_t key = 0;
  std::uint64_t pixels = 0;
};

std::vector<Counted> count_colours(std::span<const Colour> pixels, unsigned dropped_bits) {
  std::vector<std::uint32_t> keys(pixels.size());
  std::ranges::transform(pixels, keys.begin(), [&](const Colour& c) { return key_of(c, dropped_bits); });
  std::ranges::sort(keys);
  std::vector<Counted> counted;
  for (const std::uint32_t key : keys) {
    if (counted.empty() || counted.back().key != key) counted.push_back({key, 0});
    ++counted.back().pixels;
  }
  return counted;
}

// A box is a run of `colours` and, once cut, has two halves.
struct Box {
  std::size_t begin = 0, end = 0;
  std::uint64_t pixels = 0;
  std::size_t low = 0, high = 0;  // boxes; 0: not cut (the root is nobody's half)
};

class Cutter {
 public:
  explicit Cutter(std::vector<Counted> colours) : colours_(std::move(colours)) {}

  // Gives for each colour its key and the number of its box.
  std::vector<std::pair<std::uint32_t, std::size_t>> cut(std::size_t boxes_max) {
    std::uint64_t pixels = 0;
    for (const Counted& colour : colours_) pixels += colour.pixels;
    boxes_.push_back({0, colours_.size(), pixels, 0, 0});
    push(0);
    for (std::size_t made = 1; made < boxes_max; ++made) {
      std::size_t box = 0;
      do {
        if (heap_.empty()) return numbered();
        box = pop();
      } while (is_one_colour(boxes_[box]));
      split(box);
    }
    return numbered();
  }

 private:
  std::array<int, 3> sides(const Box& box) const {
    std::array<int, 3> lengths{};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      int low = 255, high = 0;
      for (std::size_t i = box.begin; i < box.end; ++i) {
        low = std::min(low, part_of(colours_[i].key, axis));
        high = std::max(high, part_of(colours_[i].key, axis));
      }
      lengths[axis] = high - low;
    }
    return lengths;
  }
  bool is_one_colour(const Box& box) const { return sides(box) == std::array<int, 3>{}; }

  void split(std::size_t index) {
    const Box box = boxes_[index];
    std::array<int, 3> lengths = sides(box);
    for (std::size_t axis = 0; axis < 3; ++axis) lengths[axis] *= kSideWeights[axis];
    const auto axis = static_cast<std::size_t>(std::ranges::max_element(lengths) - lengths.begin());
    const auto part = [&](std::size_t i) { return part_of(colours_[i].key, axis); };
    const auto first = colours_.begin() + static_cast<std::ptrdiff_t>(box.begin);
    const auto last = colours_.begin() + static_cast<std::ptrdiff_t>(box.end);
    std::sort(first, last, [&](const Counted& a, const Counted& b) {
      return part_of(a.key, axis) > part_of(b.key, axis);
    });
    // More than half of the pixels, and all colours that are level with the last one of them.
    std::size_t middle = box.begin;
    std::uint64_t above = 0;
    while (middle < box.end && above * 2 <= box.pixels) above += colours_[middle++].pixels;
    while (middle < box.end && part(middle) == part(middle - 1)) above += colours_[middle++].pixels;
    if (middle == box.end) {  // nothing is left below: the lowest level then
      do above -= colours_[--middle].pixels;
      while (part(middle) == part(middle - 1));
    }
    boxes_[index].low = boxes_.size();
    boxes_[index].high = boxes_.size() + 1;
    boxes_.push_back({box.begin, middle, above, 0, 0});
    boxes_.push_back({middle, box.end, box.pixels - above, 0, 0});
    push(boxes_[index].low);
    push(boxes_[index].high);
  }

  // A heap by hand: which of two boxes with as many pixels comes first must be as in Pillow.
  std::uint64_t pixels_at(std::size_t place) const { return boxes_[heap_[place - 1]].pixels; }
  void push(std::size_t box) {
    heap_.push_back(box);
    std::size_t place = heap_.size();
    for (; place > 1 && boxes_[box].pixels > pixels_at(place / 2); place /= 2)
      heap_[place - 1] = heap_[place / 2 - 1];
    heap_[place - 1] = box;
  }
  std::size_t pop() {
    const std::size_t top = heap_.front(), moved = heap_.back();
    heap_.pop_back();
    if (heap_.empty()) return top;
    std::size_t place = 1;
    while (place * 2 <= heap_.size()) {
      std::size_t child = place * 2;
      if (child < heap_.size() && pixels_at(child) < pixels_at(child + 1)) ++child;
      if (boxes_[moved].pixels > pixels_at(child)) break;
      heap_[place - 1] = heap_[child - 1];
      place = child;
    }
    heap_[place - 1] = moved;
    return top;
  }

  // The boxes that were not cut, the upper halves first.
  std::vector<std::pair<std::uint32_t, std::size_t>> numbered() const {
    std::vector<std::pair<std::uint32_t, std::size_t>> numbers;
    std::vector<std::size_t> open{0};
    std::size_t next = 0;
    while (!open.empty()) {
      const Box& box = boxes_[open.back()];
      open.pop_back();
      if (box.low != 0) {
        open.push_back(box.high);
        open.push_back(box.low);
        continue;
      }
      for (std::size_t i = box.begin; i < box.end; ++i) numbers.emplace_back(colours_[i].key, next);
      ++next;
    }
    std::ranges::sort(numbers);
    return numbers;
  }

  std::vector<Counted> colours_;
  std::vector<Box> boxes_;
  std::vector<std::size_t> heap_;  // of boxes_, the one with the most pixels at its head
};

}  // namespace

Palette median_cut(std::span<const Colour> pixels, std::size_t colours) {
  unsigned dropped_bits = 0;
  auto counted = count_colours(pixels, dropped_bits);
  while (counted.size() > kColoursMax) counted = count_colours(pixels, ++dropped_bits);
  const auto numbers = Cutter(std::move(counted)).cut(colours);
  struct Sum {
    std::array<std::uint64_t, 3> parts{};
    std::uint64_t pixels = 0;
  };
  std::vector<Sum> sums;
  for (const Colour& pixel : pixels) {
    const auto found = std::ranges::lower_bound(numbers, key_of(pixel, dropped_bits), {},
                                                &std::pair<std::uint32_t, std::size_t>::first);
    if (found->second >= sums.size()) sums.resize(found->second + 1);
    Sum& sum = sums[found->second];
    for (std::size_t c = 0; c < 3; ++c) sum.parts[c] += pixel[c];
    ++sum.pixels;
  }
  Palette palette;
  for (const Sum& sum : sums) {
    Colour mean{};
    for (std::size_t c = 0; c < 3; ++c) {
      mean[c] = static_cast<std::uint8_t>(0.5 + static_cast<double>(sum.parts[c]) /
                                                    static_cast<double>(sum.pixels));
    }
    palette.push_back(mean);
  }
  return palette;
}

NearestColour::NearestColour(Palette palette)
    : palette_(std::move(palette)), cells_(std::size_t{64} * 64 * 64, kUnknown) {}

const Colour& NearestColour::operator()(const Colour& colour) {
  std::uint16_t& cell =
      cells_[key_of(colour, 2) >> 16 << 12 | (key_of(colour, 2) >> 8 & 63) << 6 | (key_of(colour, 2) & 63)];
  if (cell == kUnknown) {
    int best = INT32_MAX;
    for (std::size_t i = 0; i < palette_.size(); ++i) {
      int distance = 0;
      for (std::size_t c = 0; c < 3; ++c) {
        const int apart = (colour[c] & ~3) - palette_[i][c];
        distance += apart * apart;
      }
      if (distance < best) {
        best = distance;
        cell = static_cast<std::uint16_t>(i);
      }
    }
  }
  return palette_[cell];
}

}  // namespace atelier::rehearsal
