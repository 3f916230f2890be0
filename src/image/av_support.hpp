// SPDX-License-Identifier: MIT
#pragma once
// Private to src/image: ownership of the ffmpeg libraries' objects, files in memory, error texts.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace atelier::image {

struct FreeCodec {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
};
struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
struct FreeScaler {
  void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
};
using CodecPtr = std::unique_ptr<AVCodecContext, FreeCodec>;
using FramePtr = std::unique_ptr<AVFrame, FreeFrame>;
using PacketPtr = std::unique_ptr<AVPacket, FreePacket>;
using ScalerPtr = std::unique_ptr<SwsContext, FreeScaler>;

/// "what: the library's words for `code`".
[[nodiscard]] std::unexpected<Error> av_fail(Errc errc, std::string_view what, int code);

/// A dictionary that options and metadata are given in.
class Dictionary {
 public:
  Dictionary() = default;
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  ~Dictionary() { av_dict_free(&entries_); }
  void set(const std::string& key, const std::string& value) {
    av_dict_set(&entries_, key.c_str(), value.c_str(), 0);
  }
  [[nodiscard]] AVDictionary** get() { return &entries_; }

 private:
  AVDictionary* entries_ = nullptr;
};

/// A container that is written into memory. Add streams and metadata to `format()`, then begin().
class MemoryMuxer {
 public:
  MemoryMuxer() = default;
  MemoryMuxer(const MemoryMuxer&) = delete;
  MemoryMuxer& operator=(const MemoryMuxer&) = delete;
  ~MemoryMuxer();
  /// `name` as the library has it: "mp4", "webm".
  [[nodiscard]] Result<void> open(const char* name);
  [[nodiscard]] AVFormatContext* format() const { return format_; }
  /// Writes the head. MP4 keeps all keys of the metadata, not only those it knows.
  [[nodiscard]] Result<void> begin();
  /// Takes what the packet holds; its times are in `time_base`.
  [[nodiscard]] Result<void> write(AVPacket& packet, AVRational time_base);
  [[nodiscard]] Result<std::string> finish();

 private:
  AVFormatContext* format_ = nullptr;
};

/// A container that is read from memory; `bytes` outlive it.
class MemoryDemuxer {
 public:
  MemoryDemuxer() = default;
  MemoryDemuxer(const MemoryDemuxer&) = delete;
  MemoryDemuxer& operator=(const MemoryDemuxer&) = delete;
  ~MemoryDemuxer();
  /// Errors: bad_request (nothing that is read here, or without a video stream).
  [[nodiscard]] Result<void> open(std::string_view bytes);
  [[nodiscard]] AVFormatContext* format() const { return format_; }
  [[nodiscard]] AVStream* video() const { return video_; }  // the first one

 private:
  static int read(void* self, std::uint8_t* to, int length);
  static std::int64_t seek(void* self, std::int64_t offset, int whence);

  std::string_view bytes_;
  std::size_t place_ = 0;
  AVFormatContext* format_ = nullptr;
  AVIOContext* input_ = nullptr;
  AVStream* video_ = nullptr;
};

}  // namespace atelier::image
