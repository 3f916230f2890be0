// SPDX-License-Identifier: MIT
#include "image/encode.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "image/vips_support.hpp"

namespace atelier::image {
namespace {

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

Result<void> append_text(std::string& out, const PngText& text) {
  std::string key, latin1;
  if (!to_latin1(text.key, key) || key.empty() || key.size() > 79 || key.find('\0') != std::string::npos) {
    return fail(Errc::bad_request, "a PNG text key must be 1 to 79 Latin-1 characters");
  }
  if (text.text.size() > 0x7FFF'0000u) return fail(Errc::bad_request, "a PNG text is limited to 2 GiB");
  if (to_latin1(text.text, latin1)) {
    append_chunk(out, "tEXt", key + '\0' + latin1);
  } else {
    append_chunk(out, "iTXt",
                 key + std::string(5, '\0') + text.text);  // not compressed, no language, no translation
  }
  return {};
}

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

// Feeds `length` bytes to the stream; full blocks of output become IDAT chunks.
bool deflate_into(z_stream& stream, const std::uint8_t* data, std::size_t length, int flush,
                  std::string& block, std::string& out) {
  stream.next_in = const_cast<Bytef*>(data);
  stream.avail_in = static_cast<uInt>(length);
  while (true) {
    const int state = deflate(&stream, flush);
    if (state == Z_STREAM_ERROR) return false;
    if (stream.avail_out == 0 || (flush == Z_FINISH && state == Z_STREAM_END)) {
      append_chunk(out, "IDAT", std::string_view(block).substr(0, block.size() - stream.avail_out));
      stream.next_out = reinterpret_cast<Bytef*>(block.data());
      stream.avail_out = static_cast<uInt>(block.size());
      if (state == Z_STREAM_END) return true;
      continue;
    }
    if (flush != Z_FINISH && stream.avail_in == 0) return true;
  }
}

Result<void> append_pixels(std::string& out, const FrameView& frame, int level) {
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
    fine = deflate_into(stream, row.data(), row.size(), Z_NO_FLUSH, block, out);
  }
  fine = fine && deflate_into(stream, nullptr, 0, Z_FINISH, block, out);
  deflateEnd(&stream);
  if (!fine) return fail(Errc::internal, "zlib failed");
  return {};
}

using SaveBuffer = int (*)(VipsImage*, void**, std::size_t*, int quality);

Result<std::string> encode_by_vips(const FrameView& frame, int quality, SaveBuffer save) {
  ATELIER_TRY_VOID(start_vips());
  VipsThread thread;
  const std::size_t length = std::size_t{frame.width} * frame.height * frame.channels;
  VipsPtr raw(vips_image_new_from_memory(frame.samples, length, static_cast<int>(frame.width),
                                         static_cast<int>(frame.height), static_cast<int>(frame.channels),
                                         VIPS_FORMAT_UCHAR));
  VipsImage* tagged = nullptr;
  if (!raw || vips_copy(raw.get(), &tagged, "interpretation", VIPS_INTERPRETATION_sRGB, nullptr) != 0) {
    return fail(Errc::internal, "encoding failed: " + take_vips_error());
  }
  VipsPtr picture(tagged);
  void* bytes = nullptr;
  std::size_t size = 0;
  if (save(picture.get(), &bytes, &size, std::clamp(quality, 1, 100)) != 0) {
    return fail(Errc::internal, "encoding failed: " + take_vips_error());
  }
  std::unique_ptr<void, GFree> owner(bytes);
  return std::string(static_cast<const char*>(bytes), size);
}

}  // namespace

Result<std::string> encode_png(const FrameView& frame, std::span<const PngText> texts, int level) {
  if (frame.width == 0 || frame.height == 0 || (frame.channels != 3 && frame.channels != 4)) {
    return fail(Errc::bad_request, "a PNG needs at least one pixel of three or four channels");
  }
  std::string out("\x89PNG\r\n\x1a\n", 8), head;
  append_u32(head, frame.width);
  append_u32(head, frame.height);
  head += {8, static_cast<char>(frame.channels == 3 ? 2 : 6), 0, 0, 0};
  append_chunk(out, "IHDR", head);
  for (const PngText& text : texts) ATELIER_TRY_VOID(append_text(out, text));
  ATELIER_TRY_VOID(append_pixels(out, frame, level));
  append_chunk(out, "IEND", {});
  return out;
}

Result<std::string> encode_jpeg(const FrameView& frame, int quality) {
  if (frame.channels == 4) {  // dropped here: libvips would blend it with black
    Picture8 rgb{frame.width, frame.height, 1, 3, {}};
    rgb.samples.resize(rgb.frame_length());
    for (std::size_t i = 0, n = std::size_t{frame.width} * frame.height; i < n; ++i) {
      std::copy_n(frame.samples + i * 4, 3, rgb.samples.data() + i * 3);
    }
    return encode_jpeg(view(rgb), quality);
  }
  return encode_by_vips(frame, quality, [](VipsImage* picture, void** bytes, std::size_t* size, int q) {
    return vips_jpegsave_buffer(picture, bytes, size, "Q", q, "strip", TRUE, nullptr);
  });
}

Result<std::string> encode_webp(const FrameView& frame, int quality) {
  return encode_by_vips(frame, quality, [](VipsImage* picture, void** bytes, std::size_t* size, int q) {
    return vips_webpsave_buffer(picture, bytes, size, "Q", q, "strip", TRUE, nullptr);
  });
}

}  // namespace atelier::image
