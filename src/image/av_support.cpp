// SPDX-License-Identifier: MIT
#include "image/av_support.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace atelier::image {
namespace {

constexpr int kBufferBytes = 64 << 10;
// Neither playlists nor anything else that names other files.
constexpr const char* kFormatsRead =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegvideo,mpegts,ogg,gif,m4v";

}  // namespace

std::unexpected<Error> av_fail(Errc errc, std::string_view what, int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return fail(errc, fmt::format("{}: {}", what, text.data()));
}

MemoryMuxer::~MemoryMuxer() {
  if (format_ == nullptr) return;
  if (format_->pb != nullptr) {
    std::uint8_t* bytes = nullptr;
    avio_close_dyn_buf(format_->pb, &bytes);
    av_free(bytes);
  }
  avformat_free_context(format_);
}

Result<void> MemoryMuxer::open(const char* name) {
  av_log_set_level(AV_LOG_QUIET);
  if (const int code = avformat_alloc_output_context2(&format_, nullptr, name, nullptr); code < 0)
    return av_fail(Errc::unsupported, fmt::format("no {} can be written", name), code);
  if (const int code = avio_open_dyn_buf(&format_->pb); code < 0)
    return av_fail(Errc::internal, "no memory for a video", code);
  return {};
}

Result<void> MemoryMuxer::begin() {
  Dictionary options;
  options.set("movflags", "use_metadata_tags");
  if (const int code = avformat_write_header(format_, options.get()); code < 0)
    return av_fail(Errc::unsupported, "the container does not take this video", code);
  return {};
}

Result<void> MemoryMuxer::write(AVPacket& packet, AVRational time_base) {
  av_packet_rescale_ts(&packet, time_base, format_->streams[packet.stream_index]->time_base);
  packet.pos = -1;
  if (const int code = av_interleaved_write_frame(format_, &packet); code < 0)
    return av_fail(Errc::internal, "writing the video failed", code);
  return {};
}

Result<std::string> MemoryMuxer::finish() {
  if (const int code = av_write_trailer(format_); code < 0)
    return av_fail(Errc::internal, "writing the video failed", code);
  std::uint8_t* bytes = nullptr;
  const int length = avio_close_dyn_buf(format_->pb, &bytes);
  format_->pb = nullptr;
  std::string file(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(std::max(length, 0)));
  av_free(bytes);
  return file;
}

MemoryDemuxer::~MemoryDemuxer() {
  avformat_close_input(&format_);
  if (input_ != nullptr) av_freep(&input_->buffer);
  avio_context_free(&input_);
}

int MemoryDemuxer::read(void* self, std::uint8_t* to, int length) {
  auto& demuxer = *static_cast<MemoryDemuxer*>(self);
  const std::size_t left = demuxer.bytes_.size() - demuxer.place_;
  if (left == 0) return AVERROR_EOF;
  const std::size_t count = std::min(left, static_cast<std::size_t>(length));
  std::memcpy(to, demuxer.bytes_.data() + demuxer.place_, count);
  demuxer.place_ += count;
  return static_cast<int>(count);
}

std::int64_t MemoryDemuxer::seek(void* self, std::int64_t offset, int whence) {
  auto& demuxer = *static_cast<MemoryDemuxer*>(self);
  const auto size = static_cast<std::int64_t>(demuxer.bytes_.size());
  if (whence == AVSEEK_SIZE) return size;
  const std::int64_t base = whence == SEEK_SET   ? 0
                            : whence == SEEK_CUR ? static_cast<std::int64_t>(demuxer.place_)
                                                 : size;
  if (offset < -base || offset > size - base) return AVERROR(EINVAL);
  demuxer.place_ = static_cast<std::size_t>(base + offset);
  return base + offset;
}

Result<void> MemoryDemuxer::open(std::string_view bytes) {
  av_log_set_level(AV_LOG_QUIET);
  bytes_ = bytes;
  auto* buffer = static_cast<std::uint8_t*>(av_malloc(kBufferBytes));
  input_ = buffer == nullptr ? nullptr
                             : avio_alloc_context(buffer, kBufferBytes, 0, this, &MemoryDemuxer::read,
                                                  nullptr, &MemoryDemuxer::seek);
  format_ = avformat_alloc_context();
  if (input_ == nullptr || format_ == nullptr) {
    if (input_ == nullptr) av_free(buffer);
    return fail(Errc::internal, "no memory for a video");
  }
  format_->pb = input_;
  Dictionary options;
  options.set("format_whitelist", kFormatsRead);
  options.set("protocol_whitelist", "none");
  if (const int code = avformat_open_input(&format_, nullptr, nullptr, options.get()); code < 0)
    return av_fail(Errc::bad_request, "the file is no video that can be read", code);
  if (const int code = avformat_find_stream_info(format_, nullptr); code < 0)
    return av_fail(Errc::bad_request, "the video is broken", code);
  for (unsigned i = 0; i < format_->nb_streams && video_ == nullptr; ++i) {
    if (format_->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) video_ = format_->streams[i];
  }
  if (video_ == nullptr || video_->codecpar->width <= 0 || video_->codecpar->height <= 0)
    return fail(Errc::bad_request, "there is no video in the file");
  return {};
}

}  // namespace atelier::image
