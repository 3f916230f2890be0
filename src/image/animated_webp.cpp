// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <map>
#include <memory>

#include "image/animation.hpp"
#include "image/png_chunks.hpp"

namespace atelier::image {
namespace {

constexpr std::uint16_t kModel = 0x0110, kMake = 0x010F;

// Owners of what libwebp gives out.
struct WebpData : WebPData {
  WebpData() { WebPDataInit(this); }
  WebpData(const WebpData&) = delete;
  WebpData& operator=(const WebpData&) = delete;
  ~WebpData() { WebPDataClear(this); }
};
struct WebpPicture : WebPPicture {
  WebpPicture() { fine = WebPPictureInit(this) != 0; }
  WebpPicture(const WebpPicture&) = delete;
  WebpPicture& operator=(const WebpPicture&) = delete;
  ~WebpPicture() { WebPPictureFree(this); }
  bool fine = false;
};
struct DeleteEncoder {
  void operator()(WebPAnimEncoder* encoder) const { WebPAnimEncoderDelete(encoder); }
};
struct DeleteMux {
  void operator()(WebPMux* mux) const { WebPMuxDelete(mux); }
};

void append_u16(std::string& out, std::size_t value) {
  out += {static_cast<char>(value >> 8 & 0xFF), static_cast<char>(value & 0xFF)};
}

// A TIFF file of one directory that holds nothing but texts, big-endian. "" without texts.
std::string exif_of(std::span<const PngText> texts) {
  constexpr std::size_t kEntryBytes = 12, kInlineBytes = 4;
  constexpr std::uint16_t kAscii = 2;
  std::map<std::uint16_t, std::string> tags;  // a directory is sorted by tag
  std::uint16_t next = kMake;
  for (const PngText& text : texts) {
    const std::uint16_t tag = text.key == "prompt" ? kModel : next--;
    tags.emplace(tag, text.key + ":" + text.text + '\0');
  }
  if (tags.empty()) return {};
  std::string head("MM\0*\0\0\0\x08", 8), values;
  append_u16(head, tags.size());
  const std::size_t values_begin = head.size() + tags.size() * kEntryBytes + 4;
  for (const auto& [tag, value] : tags) {
    append_u16(head, tag);
    append_u16(head, kAscii);
    append_u32(head, static_cast<std::uint32_t>(value.size()));
    if (value.size() <= kInlineBytes) {
      head += value + std::string(kInlineBytes - value.size(), '\0');
      continue;
    }
    append_u32(head, static_cast<std::uint32_t>(values_begin + values.size()));
    values += value;
    if (value.size() % 2 != 0) values.push_back('\0');
  }
  append_u32(head, 0);  // no further directory
  return head + values;
}

Result<void> add_frame(WebPAnimEncoder* encoder, const FrameView& frame, const WebPConfig& config,
                       int timestamp) {
  WebpPicture picture;
  picture.use_argb = 1;
  picture.width = static_cast<int>(frame.width);
  picture.height = static_cast<int>(frame.height);
  const int stride = static_cast<int>(frame.width * frame.channels);
  const bool imported =
      picture.fine && (frame.channels == 4 ? WebPPictureImportRGBA(&picture, frame.samples, stride)
                                           : WebPPictureImportRGB(&picture, frame.samples, stride)) != 0;
  if (!imported) return fail(Errc::internal, "there is not enough memory to encode a WebP");
  if (WebPAnimEncoderAdd(encoder, &picture, timestamp, &config) == 0)
    return fail(Errc::internal, fmt::format("encoding failed: {}", WebPAnimEncoderGetError(encoder)));
  return {};
}

// The frames without texts into `file`.
Result<void> encode_frames(const Picture8& frames, std::uint32_t frame_ms, const WebpOptions& options,
                           const KeepGoing& keep_going, WebPData& file) {
  WebPAnimEncoderOptions animation;
  WebPConfig config;
  if (WebPAnimEncoderOptionsInit(&animation) == 0 || WebPConfigInit(&config) == 0)
    return fail(Errc::internal, "libwebp is of another version than it was built for");
  animation.anim_params.bgcolor = 0;
  // Pillow's distances of key frames.
  animation.kmin = options.lossless ? 9 : 3;
  animation.kmax = options.lossless ? 17 : 5;
  config.lossless = options.lossless ? 1 : 0;
  config.quality = static_cast<float>(std::clamp(options.quality, 0, 100));
  config.method = std::clamp(options.method, 0, 6);
  const std::unique_ptr<WebPAnimEncoder, DeleteEncoder> encoder(
      WebPAnimEncoderNew(static_cast<int>(frames.width), static_cast<int>(frames.height), &animation));
  if (!encoder) return fail(Errc::internal, "there is not enough memory to encode a WebP");
  std::uint64_t timestamp = 0;
  const auto now = [&] { return static_cast<int>(std::min<std::uint64_t>(timestamp, INT32_MAX)); };
  for (std::uint32_t frame = 0; frame < frames.frames; ++frame, timestamp += frame_ms) {
    if (!keep_going()) return fail(Errc::cancelled, "stopped");
    ATELIER_TRY_VOID(add_frame(encoder.get(), view(frames, frame), config, now()));
  }
  if (WebPAnimEncoderAdd(encoder.get(), nullptr, now(), nullptr) == 0 ||
      WebPAnimEncoderAssemble(encoder.get(), &file) == 0) {
    return fail(Errc::internal, fmt::format("encoding failed: {}", WebPAnimEncoderGetError(encoder.get())));
  }
  return {};
}

}  // namespace

Result<std::string> encode_animated_webp(const Picture8& frames, std::uint32_t frame_ms,
                                         std::span<const PngText> texts, const WebpOptions& options,
                                         const KeepGoing& keep_going) {
  if (frames.width == 0 || frames.height == 0 || frames.frames == 0 || frames.width > WEBP_MAX_DIMENSION ||
      frames.height > WEBP_MAX_DIMENSION || (frames.channels != 3 && frames.channels != 4)) {
    return fail(Errc::bad_request, fmt::format("{} pictures of {} x {} with {} channels make no WebP",
                                               frames.frames, frames.width, frames.height, frames.channels));
  }
  WebpData plain, file;
  ATELIER_TRY_VOID(encode_frames(frames, frame_ms, options, keep_going, plain));
  // As Pillow has it: in an animation the directory follows the six bytes that stand before it in a JPEG.
  std::string exif = exif_of(texts);
  if (exif.empty()) return std::string(reinterpret_cast<const char*>(plain.bytes), plain.size);
  if (frames.frames > 1) exif.insert(0, std::string_view("Exif\0\0", 6));
  const std::unique_ptr<WebPMux, DeleteMux> mux(WebPMuxCreate(&plain, 1));
  const WebPData chunk{reinterpret_cast<const std::uint8_t*>(exif.data()), exif.size()};
  if (!mux || WebPMuxSetChunk(mux.get(), "EXIF", &chunk, 1) != WEBP_MUX_OK ||
      WebPMuxAssemble(mux.get(), &file) != WEBP_MUX_OK) {
    return fail(Errc::internal, "the texts of a WebP cannot be written");
  }
  return std::string(reinterpret_cast<const char*>(file.bytes), file.size);
}

}  // namespace atelier::image
