// SPDX-License-Identifier: MIT
#include "image/png_chunks.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

namespace atelier::image {
namespace {

int paeth(int a, int b, int c) {
  const int pa = std::abs(b - c), pb = std::abs(a - c), pc = std::abs(a + b - 2 * c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

// Filters one row five ways and keeps the one with the least sum of absolute differences (PNG
// specification, 12.8).
class RowFilter {
 public:
  RowFilter(std::size_t row_length, std::size_t step) : step_(step), above_(row_length, 0) {
    for (auto& row : tries_) row.resize(row_length + 1);
  }

  const std::vector<std::uint8_t>& filter(const std::uint8_t* row) {
    const std::size_t length = above_.size();
    std::array<std::uint64_t, 5> cost{};
    for (std::size_t kind = 0; kind < 5; ++kind) tries_[kind][0] = static_cast<std::uint8_t>(kind);
    for (std::size_t i = 0; i < length; ++i) {
      const int x = row[i], b = above_[i];
      const int a = i >= step_ ? row[i - step_] : 0, c = i >= step_ ? above_[i - step_] : 0;
      const std::array<int, 5> rest{x, x - a, x - b, x - (a + b) / 2, x - paeth(a, b, c)};
      for (std::size_t kind = 0; kind < 5; ++kind) {
        const auto value = static_cast<std::uint8_t>(rest[kind]);
        tries_[kind][i + 1] = value;
        cost[kind] += value < 128 ? value : 256u - value;
      }
    }
    std::copy(row, row + length, above_.begin());
    return tries_[static_cast<std::size_t>(std::ranges::min_element(cost) - cost.begin())];
  }

 private:
  std::size_t step_;
  std::vector<std::uint8_t> above_;
  std::array<std::vector<std::uint8_t>, 5> tries_;
};

// Feeds `length` bytes to the stream; full blocks of output are taken.
bool deflate_into(z_stream& stream, const std::uint8_t* data, std::size_t length, int flush,
                  std::string& block, const TakeBlock& take) {
  stream.next_in = const_cast<Bytef*>(data);
  stream.avail_in = static_cast<uInt>(length);
  while (true) {
    const int state = deflate(&stream, flush);
    if (state == Z_STREAM_ERROR) return false;
    if (stream.avail_out == 0 || (flush == Z_FINISH && state == Z_STREAM_END)) {
      take(std::string_view(block).substr(0, block.size() - stream.avail_out));
      stream.next_out = reinterpret_cast<Bytef*>(block.data());
      stream.avail_out = static_cast<uInt>(block.size());
      if (state == Z_STREAM_END) return true;
      continue;
    }
    if (flush != Z_FINISH && stream.avail_in == 0) return true;
  }
}

}  // namespace

void append_u32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xFF));
}

void append_chunk(std::string& out, std::string_view type, std::string_view data) {
  append_u32(out, static_cast<std::uint32_t>(data.size()));
  const std::size_t begin = out.size();
  out += type;
  out += data;
  const auto sum =
      crc32(0, reinterpret_cast<const Bytef*>(out.data() + begin), static_cast<uInt>(out.size() - begin));
  append_u32(out, static_cast<std::uint32_t>(sum));
}

std::string png_head(const FrameView& frame) {
  std::string out("\x89PNG\r\n\x1a\n", 8), head;
  append_u32(head, frame.width);
  append_u32(head, frame.height);
  head += {8, static_cast<char>(frame.channels == 3 ? 2 : 6), 0, 0, 0};
  append_chunk(out, "IHDR", head);
  return out;
}

Result<void> compress_pixels(const FrameView& frame, int level, const TakeBlock& take) {
  z_stream stream{};
  if (deflateInit(&stream, std::clamp(level, 0, 9)) != Z_OK)
    return fail(Errc::internal, "zlib does not start");
  std::string block(256 << 10, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(block.data());
  stream.avail_out = static_cast<uInt>(block.size());
  const std::size_t row_length = std::size_t{frame.width} * frame.channels;
  RowFilter filter(row_length, frame.channels);
  bool fine = true;
  for (std::uint32_t y = 0; fine && y < frame.height; ++y) {
    const auto& row = filter.filter(frame.samples + y * row_length);
    fine = deflate_into(stream, row.data(), row.size(), Z_NO_FLUSH, block, take);
  }
  fine = fine && deflate_into(stream, nullptr, 0, Z_FINISH, block, take);
  deflateEnd(&stream);
  if (!fine) return fail(Errc::internal, "zlib failed");
  return {};
}

}  // namespace atelier::image
