// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "image/av_support.hpp"
#include "image/video.hpp"

namespace atelier::image {
namespace {

struct Recipe {
  const char* container;
  std::array<const char*, 2> encoders;  // the second if there is no first or it refuses; or nullptr
  AVPixelFormat pixels;
};

Recipe recipe_of(VideoCodec codec) {
  switch (codec) {
    case VideoCodec::vp9:
      return {"webm", {"libvpx-vp9", nullptr}, AV_PIX_FMT_YUV420P};
    case VideoCodec::av1:  // the libsvtav1 of Debian 12 and 13 refuses less than 64 pixels on a side
      return {"webm", {"libsvtav1", "libaom-av1"}, AV_PIX_FMT_YUV420P10LE};
    case VideoCodec::h264:
      break;
  }
  return {"mp4", {"libx264", nullptr}, AV_PIX_FMT_YUV420P};
}

class Writer {
 public:
  Result<void> begin(const Picture8& first, std::span<const PngText> texts, const VideoOptions& options) {
    const Recipe recipe = recipe_of(options.codec);
    // libx264 says so as well, but leaks what it has begun with.
    if (options.codec == VideoCodec::h264 && (first.width % 2 != 0 || first.height % 2 != 0)) {
      return fail(Errc::unsupported, fmt::format("H.264 holds pictures with even sides, not of {} x {}",
                                                 first.width, first.height));
    }
    ATELIER_TRY_VOID(muxer_.open(recipe.container));
    ATELIER_TRY_VOID(open_encoder(first, recipe, options));
    stream_ = avformat_new_stream(muxer_.format(), nullptr);
    if (stream_ == nullptr || avcodec_parameters_from_context(stream_->codecpar, codec_.get()) < 0)
      return fail(Errc::internal, "no memory for a video");
    stream_->time_base = codec_->time_base;
    stream_->avg_frame_rate = codec_->framerate;
    for (const PngText& text : texts)
      av_dict_set(&muxer_.format()->metadata, text.key.c_str(), text.text.c_str(), 0);
    scaler_.reset(sws_getContext(codec_->width, codec_->height, AV_PIX_FMT_RGB24, codec_->width,
                                 codec_->height, recipe.pixels, SWS_BILINEAR, nullptr, nullptr, nullptr));
    frame_.reset(av_frame_alloc());
    packet_.reset(av_packet_alloc());
    if (!scaler_ || !frame_ || !packet_) return fail(Errc::internal, "no memory for a video");
    frame_->width = codec_->width;
    frame_->height = codec_->height;
    frame_->format = recipe.pixels;
    if (av_frame_get_buffer(frame_.get(), 0) < 0) return fail(Errc::internal, "no memory for a video");
    return muxer_.begin();
  }

  Result<void> add(const Picture8& picture, std::int64_t number) {
    if (static_cast<int>(picture.width) != codec_->width ||
        static_cast<int>(picture.height) != codec_->height || picture.channels != 3) {
      return fail(Errc::bad_request, "all frames of a video have one size and three channels");
    }
    if (av_frame_make_writable(frame_.get()) < 0) return fail(Errc::internal, "no memory for a video");
    const std::uint8_t* rows = picture.samples.data();
    const int stride = static_cast<int>(picture.row_length());
    sws_scale(scaler_.get(), &rows, &stride, 0, codec_->height, frame_->data, frame_->linesize);
    frame_->pts = number;
    return encode(frame_.get());
  }

  Result<std::string> finish() {
    ATELIER_TRY_VOID(encode(nullptr));
    return muxer_.finish();
  }

 private:
  Result<void> open_encoder(const Picture8& first, const Recipe& recipe, const VideoOptions& options) {
    auto opened = open_encoder(recipe.encoders[0], first, recipe.pixels, options);
    if (!opened && recipe.encoders[1] != nullptr)
      opened = open_encoder(recipe.encoders[1], first, recipe.pixels, options);
    return opened;
  }

  Result<void> open_encoder(const char* name, const Picture8& first, AVPixelFormat pixels,
                            const VideoOptions& options) {
    const AVCodec* encoder = avcodec_find_encoder_by_name(name);
    if (encoder == nullptr)
      return fail(Errc::unsupported, fmt::format("the ffmpeg libraries here have no {}", name));
    codec_.reset(avcodec_alloc_context3(encoder));
    if (!codec_) return fail(Errc::internal, "no memory for a video");
    codec_->width = static_cast<int>(first.width);
    codec_->height = static_cast<int>(first.height);
    codec_->pix_fmt = pixels;
    codec_->bit_rate = 0;
    codec_->framerate = {static_cast<int>(options.rate.numerator),
                         static_cast<int>(options.rate.denominator)};
    codec_->time_base = av_inv_q(codec_->framerate);
    codec_->thread_count = 1;
    if ((muxer_.format()->oformat->flags & AVFMT_GLOBALHEADER) != 0)
      codec_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    Dictionary own;
    if (options.codec != VideoCodec::h264)
      own.set("crf", fmt::to_string(std::lround(std::clamp(options.crf, 0.0, 63.0))));
    if (options.codec == VideoCodec::av1) {  // each encoder takes what it knows
      own.set("preset", "6");
      own.set("cpu-used", "6");
    }
    if (const int code = avcodec_open2(codec_.get(), encoder, own.get()); code < 0) {
      return av_fail(Errc::unsupported,
                     fmt::format("{} refuses pictures of {} x {} at {} per second", name, first.width,
                                 first.height, options.rate.per_second()),
                     code);
    }
    return {};
  }

  // nullptr: nothing more comes.
  Result<void> encode(const AVFrame* frame) {
    if (const int code = avcodec_send_frame(codec_.get(), frame); code < 0)
      return av_fail(Errc::internal, "the encoder failed", code);
    while (true) {
      const int code = avcodec_receive_packet(codec_.get(), packet_.get());
      if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return {};
      if (code < 0) return av_fail(Errc::internal, "the encoder failed", code);
      packet_->stream_index = stream_->index;
      if (packet_->duration == 0) packet_->duration = 1;
      ATELIER_TRY_VOID(muxer_.write(*packet_, codec_->time_base));
    }
  }

  MemoryMuxer muxer_;
  CodecPtr codec_;
  ScalerPtr scaler_;
  FramePtr frame_;
  PacketPtr packet_;
  AVStream* stream_ = nullptr;
};

}  // namespace

Rate rate_in_thousandths(double per_second) {
  constexpr double kLargest = 1e6;
  const auto thousandths =
      static_cast<std::int64_t>(std::nearbyint(std::clamp(per_second, 0.001, kLargest) * 1000));
  const std::int64_t divisor = std::gcd(thousandths, std::int64_t{1000});
  return {thousandths / divisor, 1000 / divisor};
}

Result<std::string> encode_video(std::uint32_t frames, const FrameSource& source,
                                 std::span<const PngText> texts, const VideoOptions& options) {
  if (frames == 0) return fail(Errc::bad_request, "a video needs at least one picture");
  Writer writer;
  for (std::uint32_t number = 0; number < frames; ++number) {
    const std::optional<Picture8> picture = source(number);
    if (!picture) return fail(Errc::cancelled, "stopped");
    if (picture->width == 0 || picture->height == 0 || picture->width > 16384 || picture->height > 16384)
      return fail(Errc::bad_request, "a video's pictures have 1 to 16384 pixels on a side");
    if (number == 0) ATELIER_TRY_VOID(writer.begin(*picture, texts, options));
    ATELIER_TRY_VOID(writer.add(*picture, number));
  }
  return writer.finish();
}

}  // namespace atelier::image
