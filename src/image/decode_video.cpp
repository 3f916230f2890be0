// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "image/av_support.hpp"
#include "image/video.hpp"

namespace atelier::image {
namespace {

Rate rate_of(const AVStream& stream) {
  const AVRational rate = stream.avg_frame_rate;
  return rate.num > 0 && rate.den > 0 ? Rate{rate.num, rate.den} : Rate{};
}

// Chroma has half the size and stands between luma's samples, or on every second one.
struct ChromaPlace {
  int first = 0, second = 0;
  float part = 0;  // of the second
};
ChromaPlace chroma_place(int position, int size, float shift) {
  const float place = std::clamp((static_cast<float>(position) + 0.5F) / 2 - 0.5F + shift, 0.0F,
                                 static_cast<float>(size - 1));
  const int first = static_cast<int>(place);
  return {first, std::min(first + 1, size - 1), place - static_cast<float>(first)};
}

// The commonest formats, of 8 and 10 bits, by loops of our own: the library's older versions round far more.
// Outside sources: ITU-R BT.601 and BT.709; FFmpeg 8, which ComfyUI 0.21.0 decodes with, makes 255/256 of
// white, and so do we.
template <class Sample, int kBits>
void append_yuv420(const AVFrame& frame, PictureF& to) {
  const bool high = frame.colorspace == AVCOL_SPC_BT709;
  const float red = high ? 0.2126F : 0.299F, blue = high ? 0.0722F : 0.114F, green = 1 - red - blue;
  const auto level = [&](int plane, int x, int y) {
    Sample sample = 0;
    std::memcpy(&sample, frame.data[plane] + y * frame.linesize[plane] + x * static_cast<int>(sizeof sample),
                sizeof sample);
    return static_cast<float>(sample) / static_cast<float>(1 << (kBits - 8));
  };
  const AVChromaLocation location = frame.chroma_location;
  const bool on_top = location == AVCHROMA_LOC_TOPLEFT || location == AVCHROMA_LOC_TOP;
  const bool on_left = location == AVCHROMA_LOC_LEFT || location == AVCHROMA_LOC_TOPLEFT;
  const int chroma_width = (frame.width + 1) / 2, chroma_height = (frame.height + 1) / 2;
  for (int y = 0; y < frame.height; ++y) {
    const ChromaPlace row = chroma_place(y, chroma_height, on_top ? 0.25F : 0);
    for (int x = 0; x < frame.width; ++x) {
      const ChromaPlace column = chroma_place(x, chroma_width, on_left ? 0.25F : 0);
      const auto chroma = [&](int plane) {
        const auto across = [&](int line) {
          return std::lerp(level(plane, column.first, line), level(plane, column.second, line), column.part);
        };
        return (std::lerp(across(row.first), across(row.second), row.part) - 128) / 224;
      };
      const float luma = (level(0, x, y) - 16) / 219, u = chroma(1), v = chroma(2);
      const float r = luma + 2 * (1 - red) * v, b = luma + 2 * (1 - blue) * u;
      const float g = luma - (2 * (1 - blue) * blue * u + 2 * (1 - red) * red * v) / green;
      for (const float sample : {r, g, b}) to.samples.push_back(std::clamp(sample, 0.0F, 1.0F) * 255 / 256);
    }
  }
  ++to.frames;
}

// Frames of any pixel format as float RGB: planes of green, blue and red, as ComfyUI asks the library for.
class ToFloat {
 public:
  Result<void> append(const AVFrame& frame, PictureF& to) {
    const bool full_range = frame.color_range == AVCOL_RANGE_JPEG;
    if (!full_range && frame.format == AV_PIX_FMT_YUV420P) {
      append_yuv420<std::uint8_t, 8>(frame, to);
      return {};
    }
    if (!full_range && frame.format == AV_PIX_FMT_YUV420P10) {
      append_yuv420<std::uint16_t, 10>(frame, to);
      return {};
    }
    if (!planes_) {
      planes_.reset(av_frame_alloc());
      if (!planes_) return fail(Errc::internal, "no memory for a video");
      planes_->width = frame.width;
      planes_->height = frame.height;
      planes_->format = AV_PIX_FMT_GBRPF32;
      if (av_frame_get_buffer(planes_.get(), 0) < 0) return fail(Errc::internal, "no memory for a video");
      scaler_.reset(sws_getContext(frame.width, frame.height, static_cast<AVPixelFormat>(frame.format),
                                   frame.width, frame.height, AV_PIX_FMT_GBRPF32, SWS_BILINEAR, nullptr,
                                   nullptr, nullptr));
      if (!scaler_) return fail(Errc::bad_request, "the video's colours cannot be converted");
      format_ = frame.format;
    }
    if (frame.width != planes_->width || frame.height != planes_->height || frame.format != format_)
      return fail(Errc::bad_request, "the video changes its size on the way");
    sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, planes_->data, planes_->linesize);
    for (int y = 0; y < frame.height; ++y) {
      for (int x = 0; x < frame.width; ++x) {
        for (const int plane : {2, 0, 1}) to.samples.push_back(sample(plane, x, y));
      }
    }
    ++to.frames;
    return {};
  }

 private:
  float sample(int plane, int x, int y) const {
    float value = 0;
    std::memcpy(&value, planes_->data[plane] + y * planes_->linesize[plane] + x * 4, sizeof value);
    return value;
  }

  FramePtr planes_;
  ScalerPtr scaler_;
  int format_ = -1;
};

Result<CodecPtr> open_decoder(const AVStream& stream) {
  const AVCodec* decoder = avcodec_find_decoder(stream.codecpar->codec_id);
  if (decoder == nullptr)
    return fail(Errc::bad_request, "the video is packed in a way that is not known here");
  CodecPtr codec(avcodec_alloc_context3(decoder));
  if (!codec || avcodec_parameters_to_context(codec.get(), stream.codecpar) < 0)
    return fail(Errc::internal, "no memory for a video");
  codec->thread_count = 1;
  if (const int code = avcodec_open2(codec.get(), decoder, nullptr); code < 0)
    return av_fail(Errc::bad_request, "the video cannot be decoded", code);
  return codec;
}

}  // namespace

Result<VideoFacts> read_video_facts(std::string_view bytes) {
  MemoryDemuxer demuxer;
  ATELIER_TRY_VOID(demuxer.open(bytes));
  const AVCodecParameters& picture = *demuxer.video()->codecpar;
  const std::string_view container = demuxer.format()->iformat->name;  // a list: "mov,mp4,m4a,..."
  return VideoFacts{static_cast<std::uint32_t>(picture.width), static_cast<std::uint32_t>(picture.height),
                    rate_of(*demuxer.video()), container.find("mp4") != std::string_view::npos,
                    picture.codec_id == AV_CODEC_ID_H264};
}

Result<DecodedVideo> decode_video(std::string_view bytes, const VideoLimits& limits,
                                  const std::function<bool()>& keep_going) {
  MemoryDemuxer demuxer;
  ATELIER_TRY_VOID(demuxer.open(bytes));
  ATELIER_TRY(CodecPtr codec, open_decoder(*demuxer.video()));
  const AVCodecParameters& picture = *demuxer.video()->codecpar;
  DecodedVideo video{
      {static_cast<std::uint32_t>(picture.width), static_cast<std::uint32_t>(picture.height), 0, 3, {}},
      rate_of(*demuxer.video())};
  const FramePtr frame(av_frame_alloc());
  const PacketPtr packet(av_packet_alloc());
  if (!frame || !packet) return fail(Errc::internal, "no memory for a video");
  ToFloat convert;
  const std::uint64_t pixels = std::uint64_t{video.frames.width} * video.frames.height;
  bool more = true;
  while (more) {
    more = av_read_frame(demuxer.format(), packet.get()) >= 0;
    // A packet that cannot be decoded is left out, as ComfyUI does; none at all is an error below.
    if (!more)
      avcodec_send_packet(codec.get(), nullptr);
    else if (packet->stream_index == demuxer.video()->index)
      avcodec_send_packet(codec.get(), packet.get());
    av_packet_unref(packet.get());
    while (avcodec_receive_frame(codec.get(), frame.get()) >= 0) {
      if (!keep_going()) return fail(Errc::cancelled, "stopped");
      if (frame->width != picture.width || frame->height != picture.height)
        return fail(Errc::bad_request, "the video changes its size on the way");
      if ((video.frames.frames + 1) * pixels > limits.pixels_max) {
        return fail(Errc::too_large, fmt::format("the video has more than {} frames of {} x {}",
                                                 video.frames.frames, picture.width, picture.height));
      }
      ATELIER_TRY_VOID(convert.append(*frame, video.frames));
    }
  }
  if (video.frames.frames == 0) return fail(Errc::bad_request, "the video cannot be decoded");
  return video;
}

Result<std::string> remux_video(std::string_view bytes, std::span<const PngText> texts) {
  MemoryDemuxer demuxer;
  ATELIER_TRY_VOID(demuxer.open(bytes));
  MemoryMuxer muxer;
  ATELIER_TRY_VOID(muxer.open("mp4"));
  av_dict_copy(&muxer.format()->metadata, demuxer.format()->metadata, 0);
  for (const PngText& text : texts)
    av_dict_set(&muxer.format()->metadata, text.key.c_str(), text.text.c_str(), 0);
  std::map<int, AVStream*> copies;
  for (unsigned i = 0; i < demuxer.format()->nb_streams; ++i) {
    const AVStream& stream = *demuxer.format()->streams[i];
    if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO &&
        stream.codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
      continue;
    AVStream* copy = avformat_new_stream(muxer.format(), nullptr);
    if (copy == nullptr || avcodec_parameters_copy(copy->codecpar, stream.codecpar) < 0)
      return fail(Errc::internal, "no memory for a video");
    copy->codecpar->codec_tag = 0;  // that of MP4
    copy->time_base = stream.time_base;
    copy->avg_frame_rate = stream.avg_frame_rate;
    copies.emplace(stream.index, copy);
  }
  ATELIER_TRY_VOID(muxer.begin());
  const PacketPtr packet(av_packet_alloc());
  if (!packet) return fail(Errc::internal, "no memory for a video");
  while (av_read_frame(demuxer.format(), packet.get()) >= 0) {
    const auto copy = copies.find(packet->stream_index);
    if (copy == copies.end() || packet->dts == AV_NOPTS_VALUE) {
      av_packet_unref(packet.get());
      continue;
    }
    const AVRational time_base = demuxer.format()->streams[packet->stream_index]->time_base;
    packet->stream_index = copy->second->index;
    ATELIER_TRY_VOID(muxer.write(*packet, time_base));
  }
  return muxer.finish();
}

}  // namespace atelier::image
