// SPDX-License-Identifier: MIT
#include "files/content_type.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "files/safe_path.hpp"

namespace atelier::files {
namespace {

struct TypeOfExtension {
  std::string_view extension, type;
};

// Sorted by extension. What decides in ComfyUI: Python's mimetypes with Debian's table of media types, and
// the models' types that it adds (utils/mime_types.py).
constexpr std::array kTypes = std::to_array<TypeOfExtension>({
    {".3g2", "audio/3gpp2"},
    {".3gp", "audio/3gpp"},
    {".7z", "application/x-7z-compressed"},
    {".aac", "audio/aac"},
    {".aif", "audio/x-aiff"},
    {".aiff", "audio/x-aiff"},
    {".amr", "audio/AMR"},
    {".apng", "image/apng"},
    {".avi", "video/x-msvideo"},
    {".avif", "image/avif"},
    {".bmp", "image/bmp"},
    {".ckpt", "application/pickle"},
    {".css", "text/css"},
    {".csv", "text/csv"},
    {".eml", "message/rfc822"},
    {".exr", "image/aces"},
    {".flac", "audio/flac"},
    {".flv", "video/x-flv"},
    {".gguf", "application/gguf"},
    {".gif", "image/gif"},
    {".glb", "model/gltf-binary"},
    {".gltf", "model/gltf+json"},
    {".hdr", "image/vnd.radiance"},
    {".heic", "image/heic"},
    {".heif", "image/heif"},
    {".htm", "text/html"},
    {".html", "text/html"},
    {".ico", "image/vnd.microsoft.icon"},
    {".jfif", "image/jpeg"},
    {".jp2", "image/jp2"},
    {".jpe", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".jpg", "image/jpeg"},
    {".js", "text/javascript"},
    {".json", "application/json"},
    {".jxl", "image/jxl"},
    {".m4a", "audio/mp4"},
    {".m4v", "video/mp4"},
    {".md", "text/markdown"},
    {".mid", "audio/sp-midi"},
    {".mjs", "text/javascript"},
    {".mkv", "video/x-matroska"},
    {".mov", "video/quicktime"},
    {".mp2", "audio/mpeg"},
    {".mp3", "audio/mpeg"},
    {".mp4", "video/mp4"},
    {".mpeg", "video/mpeg"},
    {".mpg", "video/mpeg"},
    {".mtl", "model/mtl"},
    {".obj", "model/obj"},
    {".oga", "audio/ogg"},
    {".ogg", "audio/ogg"},
    {".ogv", "video/ogg"},
    {".opus", "audio/ogg"},
    {".otf", "font/otf"},
    {".pbm", "image/x-portable-bitmap"},
    {".pdf", "application/pdf"},
    {".pgm", "image/x-portable-graymap"},
    {".pkl", "application/pickle"},
    {".png", "image/png"},
    {".pnm", "image/x-portable-anymap"},
    {".ppm", "image/x-portable-pixmap"},
    {".psd", "image/vnd.adobe.photoshop"},
    {".pt", "application/pytorch"},
    {".pth", "application/pytorch"},
    {".py", "text/x-python"},
    {".qt", "video/quicktime"},
    {".rtf", "application/rtf"},
    {".safetensors", "application/safetensors"},
    {".sft", "application/safetensors"},
    {".srt", "text/plain"},
    {".stl", "model/stl"},
    {".svg", "image/svg+xml"},
    {".svgz", "image/svg+xml"},
    {".tar", "application/x-tar"},
    {".tif", "image/tiff"},
    {".tiff", "image/tiff"},
    {".ts", "text/vnd.trolltech.linguist"},
    {".ttf", "font/ttf"},
    {".txt", "text/plain"},
    {".usdz", "model/vnd.usdz+zip"},
    {".vtt", "text/vtt"},
    {".wasm", "application/wasm"},
    {".wav", "audio/x-wav"},
    {".webm", "video/webm"},
    {".webp", "image/webp"},
    {".wma", "audio/x-ms-wma"},
    {".wmv", "video/x-ms-wmv"},
    {".woff", "font/woff"},
    {".woff2", "font/woff2"},
    {".xbm", "image/x-xbitmap"},
    {".xhtml", "application/xhtml+xml"},
    {".xml", "application/xml"},
    {".xpm", "image/x-xpixmap"},
    {".yaml", "application/yaml"},
    {".yml", "application/yaml"},
    {".zip", "application/zip"},
});
static_assert(std::ranges::is_sorted(kTypes, {}, &TypeOfExtension::extension));

}  // namespace

std::string_view content_type(std::string_view name) {
  std::string extension(split_extension(name).extension);
  for (char& c : extension) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  const auto found =
      std::ranges::lower_bound(kTypes, std::string_view(extension), {}, &TypeOfExtension::extension);
  if (found == kTypes.end() || found->extension != extension) return "application/octet-stream";
  return found->type;
}

}  // namespace atelier::files
