// SPDX-License-Identifier: MIT
#include "image/encode.hpp"

#include <algorithm>

#include "image/png_chunks.hpp"
#include "image/vips_support.hpp"

namespace atelier::image {
namespace {

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
  std::string out = png_head(frame);
  for (const PngText& text : texts) ATELIER_TRY_VOID(append_text(out, text));
  ATELIER_TRY_VOID(
      compress_pixels(frame, level, [&](std::string_view block) { append_chunk(out, "IDAT", block); }));
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
