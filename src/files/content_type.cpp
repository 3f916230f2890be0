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

// Sorted by extension. Facts from the IANA registry and from Python's mimetypes, which decides in ComfyUI.
constexpr std::array kTypes = std::to_array<TypeOfExtension>({
    {".3gp", "video/3gpp"},
    {".3mf", "model/3mf"},
    {".aac", "audio/aac"},
    {".aif", "audio/x-aiff"},
    {".aiff", "audio/x-aiff"},
    {".apng", "image/apng"},
    {".avi", "video/x-msvideo"},
    {".avif", "image/avif"},
    {".bmp", "image/bmp"},
    {".css", "text/css"},
    {".csv", "text/csv"},
    {".eml", "message/rfc822"},
    {".fbx", "model/vnd.fbx"},
    {".flac", "audio/flac"},
    {".gif", "image/gif"},
    {".glb", "model/gltf-binary"},
    {".gltf", "model/gltf+json"},
    {".gz", "application/gzip"},
    {".heic", "image/heic"},
    {".htm", "text/html"},
    {".html", "text/html"},
    {".ico", "image/vnd.microsoft.icon"},
    {".jpe", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".jpg", "image/jpeg"},
    {".js", "text/javascript"},
    {".json", "application/json"},
    {".m4a", "audio/mp4"},
    {".m4v", "video/x-m4v"},
    {".md", "text/markdown"},
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
    {".opus", "audio/opus"},
    {".pdf", "application/pdf"},
    {".ply", "model/ply"},
    {".png", "image/png"},
    {".pnm", "image/x-portable-anymap"},
    {".ppm", "image/x-portable-pixmap"},
    {".qt", "video/quicktime"},
    {".stl", "model/stl"},
    {".svg", "image/svg+xml"},
    {".tar", "application/x-tar"},
    {".tif", "image/tiff"},
    {".tiff", "image/tiff"},
    {".txt", "text/plain"},
    {".usdz", "model/vnd.usdz+zip"},
    {".wasm", "application/wasm"},
    {".wav", "audio/x-wav"},
    {".weba", "audio/webm"},
    {".webm", "video/webm"},
    {".webp", "image/webp"},
    {".xhtml", "application/xhtml+xml"},
    {".xml", "text/xml"},
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

ContentKind content_kind(std::string_view name) {
  const std::string_view type = content_type(name);
  if (type.starts_with("image/")) return ContentKind::image;
  if (type.starts_with("video/")) return ContentKind::video;
  if (type.starts_with("audio/")) return ContentKind::audio;
  if (type.starts_with("model/")) return ContentKind::model;
  return ContentKind::other;
}

}  // namespace atelier::files
