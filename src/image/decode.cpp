// SPDX-License-Identifier: MIT
#include "image/decode.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "image/vips_support.hpp"

namespace atelier::image {
namespace {

// What the loader gave: interleaved samples of 8 or 16 bits, 1 to 4 bands, frames one above the other.
struct Raw {
  std::uint32_t width = 0, height = 0, frames = 1, bands = 3, bits = 8;
  int orientation = 1;
  std::unique_ptr<void, GFree> memory;
};

enum class Frames { first, all };

VipsImage* open_buffer(std::string_view bytes, Format format, int pages) {
  // libvips does not write to the buffer; its C interface lacks the const.
  void* data = const_cast<char*>(bytes.data());
  const std::size_t size = bytes.size();
  VipsImage* image = nullptr;
  int failed = -1;
  // VIPS_FAIL_ON_ERROR: a truncated file is refused, as Pillow does, not filled with grey.
  switch (format) {
    case Format::png:
      failed = vips_pngload_buffer(data, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                   VIPS_FAIL_ON_ERROR, nullptr);
      break;
    case Format::jpeg:
      failed = vips_jpegload_buffer(data, size, &image, "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                    VIPS_FAIL_ON_ERROR, nullptr);
      break;
    case Format::webp:
      failed = vips_webpload_buffer(data, size, &image, "n", pages, "access", VIPS_ACCESS_SEQUENTIAL,
                                    "fail_on", VIPS_FAIL_ON_ERROR, nullptr);
      break;
    case Format::gif:
      failed = vips_gifload_buffer(data, size, &image, "n", pages, "access", VIPS_ACCESS_SEQUENTIAL,
                                   "fail_on", VIPS_FAIL_ON_ERROR, nullptr);
      break;
    case Format::tiff:
      failed = vips_tiffload_buffer(data, size, &image, "n", pages, "access", VIPS_ACCESS_SEQUENTIAL,
                                    "fail_on", VIPS_FAIL_ON_ERROR, nullptr);
      break;
  }
  return failed == 0 ? image : nullptr;
}

// Everything but plain 8- and 16-bit grey or RGB (CMYK, Lab, float TIFF, 32-bit ...) becomes 8-bit sRGB.
Result<VipsPtr> to_plain(VipsPtr image, bool keep_16_bits) {
  const VipsBandFormat format = vips_image_get_format(image.get());
  const VipsInterpretation kind = vips_image_get_interpretation(image.get());
  const int bands = vips_image_get_bands(image.get());
  const bool colours_known = bands >= 1 && bands <= 4 && kind != VIPS_INTERPRETATION_CMYK &&
                             kind != VIPS_INTERPRETATION_LAB && kind != VIPS_INTERPRETATION_LABS &&
                             kind != VIPS_INTERPRETATION_XYZ;
  if (colours_known && (format == VIPS_FORMAT_UCHAR || (format == VIPS_FORMAT_USHORT && keep_16_bits)))
    return image;
  VipsImage *colours = nullptr, *bytes = nullptr;
  if (vips_colourspace(image.get(), &colours, VIPS_INTERPRETATION_sRGB, nullptr) != 0) {
    return fail(Errc::bad_request, "the picture's colours cannot be converted: " + take_vips_error());
  }
  VipsPtr converted(colours);
  if (vips_cast(converted.get(), &bytes, VIPS_FORMAT_UCHAR, nullptr) != 0) {
    return fail(Errc::bad_request, "the picture's colours cannot be converted: " + take_vips_error());
  }
  return VipsPtr(bytes);
}

Result<void> check_limits(VipsImage* image, const DecodeLimits& limits, Raw& raw) {
  const auto width = static_cast<std::uint64_t>(vips_image_get_width(image));
  const auto total = static_cast<std::uint64_t>(vips_image_get_height(image));
  const auto page = static_cast<std::uint64_t>(std::max(1, vips_image_get_page_height(image)));
  if (width * total > limits.pixels_max) {
    return fail(Errc::too_large,
                fmt::format("the picture has {} x {} pixels in {} frames; the limit is {} pixels", width,
                            page, total / page, limits.pixels_max));
  }
  if (total / page > limits.frames_max) {
    return fail(Errc::too_large,
                fmt::format("the picture has {} frames; the limit is {}", total / page, limits.frames_max));
  }
  raw.width = static_cast<std::uint32_t>(width);
  raw.height = static_cast<std::uint32_t>(page);
  raw.frames = static_cast<std::uint32_t>(total / page);
  return {};
}

Result<Raw> load(std::string_view bytes, const DecodeLimits& limits, Frames frames, bool keep_16_bits) {
  ATELIER_TRY_VOID(start_vips());
  const auto format = recognise(bytes);
  if (!format) return fail(Errc::unsupported, "not a PNG, JPEG, WebP, GIF or TIFF file");
  VipsPtr image(open_buffer(bytes, *format, frames == Frames::all ? -1 : 1));
  if (!image && frames == Frames::all) {  // a TIFF whose pages differ in size: the first one
    vips_error_clear();
    image.reset(open_buffer(bytes, *format, 1));
  }
  if (!image) return fail(Errc::bad_request, "the file cannot be decoded: " + take_vips_error());
  Raw raw;
  ATELIER_TRY_VOID(check_limits(image.get(), limits, raw));
  raw.orientation = vips_image_get_orientation(image.get());
  ATELIER_TRY(VipsPtr plain, to_plain(std::move(image), keep_16_bits));
  raw.bands = static_cast<std::uint32_t>(vips_image_get_bands(plain.get()));
  raw.bits = vips_image_get_format(plain.get()) == VIPS_FORMAT_USHORT ? 16 : 8;
  if (raw.bands < 1 || raw.bands > 4)
    return fail(Errc::unsupported, "the picture has an unknown number of channels");
  std::size_t size = 0;
  raw.memory.reset(vips_image_write_to_memory(plain.get(), &size));
  const std::size_t expected = std::size_t{raw.width} * raw.height * raw.frames * raw.bands * raw.bits / 8;
  if (!raw.memory || size != expected) {
    return fail(Errc::bad_request, "the file cannot be decoded: " + take_vips_error());
  }
  return raw;
}

// Where the sample of the upright picture at (x, y) stands in a stored picture of width x height (EXIF 2.3,
// tag 274).
struct Place {
  std::uint32_t x, y;
};
Place stored_place(int orientation, std::uint32_t x, std::uint32_t y, std::uint32_t width,
                   std::uint32_t height) {
  switch (orientation) {
    case 2:
      return {width - 1 - x, y};
    case 3:
      return {width - 1 - x, height - 1 - y};
    case 4:
      return {x, height - 1 - y};
    case 5:
      return {y, x};
    case 6:
      return {y, height - 1 - x};
    case 7:
      return {width - 1 - y, height - 1 - x};
    case 8:
      return {width - 1 - y, x};
    default:
      return {x, y};
  }
}

// Orients, widens grey to RGB, adds or keeps alpha, and converts each stored sample with `convert`.
template <class Sample, class Stored, class Convert>
Picture<Sample> arrange(const Raw& raw, std::uint32_t channels, Convert convert) {
  const auto* stored = static_cast<const Stored*>(raw.memory.get());
  const bool turned = raw.orientation >= 5 && raw.orientation <= 8;
  const bool grey = raw.bands < 3, alpha = raw.bands == 2 || raw.bands == 4;
  Picture<Sample> out{
      turned ? raw.height : raw.width, turned ? raw.width : raw.height, raw.frames, channels, {}};
  out.samples.resize(out.frame_length() * out.frames);
  Sample* to = out.samples.data();
  for (std::uint32_t frame = 0; frame < raw.frames; ++frame) {
    const Stored* picture = stored + std::size_t{frame} * raw.width * raw.height * raw.bands;
    for (std::uint32_t y = 0; y < out.height; ++y) {
      for (std::uint32_t x = 0; x < out.width; ++x) {
        const Place place = stored_place(raw.orientation, x, y, raw.width, raw.height);
        const Stored* from = picture + (std::size_t{place.y} * raw.width + place.x) * raw.bands;
        for (std::uint32_t c = 0; c < 3; ++c) *to++ = convert(from[grey ? 0 : c]);
        if (channels == 4) *to++ = convert(alpha ? from[raw.bands - 1] : static_cast<Stored>(~Stored{0}));
      }
    }
  }
  return out;
}

// What FFmpeg, and so LoadImage, decodes with an alpha channel although every pixel may be opaque.
bool always_has_alpha(std::string_view bytes, Format format) {
  if (format == Format::gif) return true;
  if (format == Format::png) return bytes.size() > 25 && bytes[25] == 3;  // colour type 3: palette
  return format == Format::webp && bytes.size() > 16 && bytes.substr(12, 4) == "VP8L";
}

}  // namespace

std::optional<Format> recognise(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return Format::png;
  if (bytes.starts_with("\xFF\xD8\xFF")) return Format::jpeg;
  if (bytes.starts_with("GIF87a") || bytes.starts_with("GIF89a")) return Format::gif;
  if (bytes.size() >= 12 && bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP") return Format::webp;
  if (bytes.starts_with(std::string_view("II*\0", 4)) || bytes.starts_with(std::string_view("MM\0*", 4)))
    return Format::tiff;
  return std::nullopt;
}

Result<PictureF> decode_float(std::string_view bytes, const DecodeLimits& limits) {
  VipsThread thread;
  ATELIER_TRY(Raw raw, load(bytes, limits, Frames::all, true));
  const bool alpha = raw.bands == 2 || raw.bands == 4 || always_has_alpha(bytes, *recognise(bytes));
  const std::uint32_t channels = alpha ? 4 : 3;
  if (raw.bits == 16) {
    return arrange<float, std::uint16_t>(raw, channels,
                                         [](std::uint16_t v) { return static_cast<float>(v) / 65535.0F; });
  }
  return arrange<float, std::uint8_t>(raw, channels,
                                      [](std::uint8_t v) { return static_cast<float>(v) / 255.0F; });
}

Result<Picture8> decode_first(std::string_view bytes, const DecodeLimits& limits) {
  VipsThread thread;
  ATELIER_TRY(Raw raw, load(bytes, limits, Frames::first, false));
  const std::uint32_t channels = raw.bands == 2 || raw.bands == 4 ? 4 : 3;
  return arrange<std::uint8_t, std::uint8_t>(raw, channels, [](std::uint8_t v) { return v; });
}

}  // namespace atelier::image
