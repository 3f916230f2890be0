// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>
#include <vector>

#include "image/animation.hpp"
#include "image/png_chunks.hpp"

namespace atelier::image {
namespace {

struct Shown {
  std::uint32_t frame = 0;
  std::uint64_t ms = 0;
};

std::vector<Shown> different_frames(const Picture8& frames, std::uint32_t frame_ms) {
  std::vector<Shown> shown;
  for (std::uint32_t frame = 0; frame < frames.frames; ++frame) {
    const FrameView own = view(frames, frame);
    const bool same = !shown.empty() && std::equal(own.samples, own.samples + frames.frame_length(),
                                                   view(frames, shown.back().frame).samples);
    if (same)
      shown.back().ms += frame_ms;
    else
      shown.push_back({frame, frame_ms});
  }
  return shown;
}

void append_u16(std::string& out, std::uint64_t value) {
  out += {static_cast<char>(value >> 8 & 0xFF), static_cast<char>(value & 0xFF)};
}

void append_frame_control(std::string& out, std::uint32_t sequence, const FrameView& frame,
                          std::uint64_t ms) {
  std::string data;
  append_u32(data, sequence);
  append_u32(data, frame.width);
  append_u32(data, frame.height);
  append_u32(data, 0);
  append_u32(data, 0);
  const std::uint64_t divisor = std::gcd(ms, std::uint64_t{1000});
  append_u16(data, std::min<std::uint64_t>(ms / divisor, 0xFFFF));  // 16 bits: more than 65 s of 1/1000 s
  append_u16(data, 1000 / divisor);
  data += {0, 0};  // the next frame covers all of this one
  append_chunk(out, "fcTL", data);
}

Result<void> append_frames(std::string& out, const Picture8& frames, const std::vector<Shown>& shown,
                           int level, const KeepGoing& keep_going) {
  std::string control;
  append_u32(control, static_cast<std::uint32_t>(shown.size()));
  append_u32(control, 0);  // endless
  append_chunk(out, "acTL", control);
  std::uint32_t sequence = 0;
  for (const Shown& entry : shown) {
    if (!keep_going()) return fail(Errc::cancelled, "stopped");
    const FrameView frame = view(frames, entry.frame);
    append_frame_control(out, sequence++, frame, entry.ms);
    ATELIER_TRY_VOID(compress_pixels(frame, level, [&](std::string_view block) {
      if (entry.frame == 0) {
        append_chunk(out, "IDAT", block);
        return;
      }
      std::string numbered;
      append_u32(numbered, sequence++);
      numbered += block;
      append_chunk(out, "fdAT", numbered);
    }));
  }
  return {};
}

}  // namespace

Result<std::string> encode_animated_png(const Picture8& frames, std::uint32_t frame_ms,
                                        std::span<const PngText> texts, int level,
                                        const KeepGoing& keep_going) {
  if (frames.width == 0 || frames.height == 0 || frames.frames == 0 ||
      (frames.channels != 3 && frames.channels != 4)) {
    return fail(Errc::bad_request, "a PNG needs at least one pixel of three or four channels");
  }
  const std::vector<Shown> shown = different_frames(frames, frame_ms);
  std::string out = png_head(view(frames));
  if (shown.size() > 1) {
    ATELIER_TRY_VOID(append_frames(out, frames, shown, level, keep_going));
  } else {
    if (!keep_going()) return fail(Errc::cancelled, "stopped");
    ATELIER_TRY_VOID(compress_pixels(view(frames), level,
                                     [&](std::string_view block) { append_chunk(out, "IDAT", block); }));
  }
  for (const PngText& text : texts) {
    std::string key, latin1;
    if (!to_latin1(text.key, key) || !to_latin1(text.text, latin1))
      return fail(Errc::bad_request, "the texts of an animated PNG must be Latin-1");
    append_chunk(out, "comf", key + '\0' + latin1);
  }
  append_chunk(out, "IEND", {});
  return out;
}

}  // namespace atelier::image
