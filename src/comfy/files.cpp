// SPDX-License-Identifier: MIT
#include "comfy/files.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace atelier::comfy {

namespace {

using Extensions = std::array<std::string_view, 32>;

// Media types that Python's mimetypes knows on a Debian system, and the meshes that the front end's viewer
// opens (ComfyUI 0.21.0, nodes_load_3d.py).
constexpr Extensions kImages{"apng", "avif", "bmp",  "exr", "gif",  "hdr",  "heic", "heif", "ico", "jfif",
                             "jp2",  "jpe",  "jpeg", "jpg", "jxl",  "pbm",  "pgm",  "png",  "pnm", "ppm",
                             "psd",  "svg",  "svgz", "tif", "tiff", "webp", "xbm",  "xpm"};
constexpr Extensions kVideos{"avi", "flv",  "m1v", "m4v", "mkv", "mov",  "mp4",
                             "mpe", "mpeg", "mpg", "ogv", "qt",  "webm", "wmv"};
constexpr Extensions kAudio{"3g2", "3gp", "aac", "aif", "aifc", "aiff", "amr", "au",  "flac", "m4a",
                            "mid", "mp2", "mp3", "oga", "ogg",  "opus", "snd", "wav", "wma"};
constexpr Extensions kMeshes{"fbx", "glb", "gltf", "ksplat", "obj", "ply", "splat", "spz", "stl", "usdz"};

bool contains(const Extensions& list, std::string_view extension) {
  return !extension.empty() && std::find(list.begin(), list.end(), extension) != list.end();
}

}  // namespace

std::string_view to_string(FileType type) {
  switch (type) {
    case FileType::input:
      return "input";
    case FileType::output:
      return "output";
    case FileType::temp:
      return "temp";
  }
  return "input";
}

std::optional<FileType> parse_file_type(std::string_view text) {
  for (const auto type : {FileType::input, FileType::output, FileType::temp})
    if (text == to_string(type)) return type;
  return std::nullopt;
}

bool is_model_folder(std::string_view key) {
  return std::ranges::find(kModelFolders, key) != kModelFolders.end();
}
bool is_library_folder(std::string_view key) {
  return is_model_folder(key) && key != "configs" && key != "custom_nodes";
}

std::string_view to_string(ContentKind kind) {
  switch (kind) {
    case ContentKind::image:
      return "image";
    case ContentKind::video:
      return "video";
    case ContentKind::audio:
      return "audio";
    case ContentKind::model3d:
      return "3d";
    case ContentKind::latent:
      return "latent";
    case ContentKind::other:
      return "other";
  }
  return "other";
}

ContentKind content_kind_of(std::string_view file_name) {
  const std::size_t dot = file_name.rfind('.');
  if (dot == std::string_view::npos) return ContentKind::other;
  std::string extension(file_name.substr(dot + 1));
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (contains(kImages, extension)) return ContentKind::image;
  if (contains(kVideos, extension)) return ContentKind::video;
  if (contains(kAudio, extension)) return ContentKind::audio;
  if (contains(kMeshes, extension)) return ContentKind::model3d;
  if (extension == "latent") return ContentKind::latent;
  return ContentKind::other;
}

AnnotatedName split_annotation(std::string_view text) {
  for (const auto type : {FileType::output, FileType::input, FileType::temp}) {
    const std::string_view word = to_string(type);
    const std::size_t length = word.size() + 2;
    if (text.size() < length || text.back() != ']' || text[text.size() - length] != '[') continue;
    if (text.substr(text.size() - length + 1, word.size()) != word) continue;
    // Cut blindly: "[output]" alone is an empty name. Of UTF-8, a character is its last bytes.
    std::string_view name = text.substr(0, text.size() - length);
    while (!name.empty() && (static_cast<unsigned char>(name.back()) & 0xC0) == 0x80) name.remove_suffix(1);
    if (!name.empty()) name.remove_suffix(1);
    return {std::string(name), type};
  }
  return {std::string(text), std::nullopt};
}

std::string normal_path(std::string_view path) {
  if (path.empty()) return ".";
  // POSIX: two leading slashes are kept, three or more count as one.
  const bool absolute = path.front() == '/';
  const bool two = absolute && path.size() > 1 && path[1] == '/' && (path.size() == 2 || path[2] != '/');
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part != ".." || (!absolute && parts.empty()) || (!parts.empty() && parts.back() == ".."))
      parts.push_back(part);
    else if (!parts.empty())
      parts.pop_back();
  }
  std::string out = two ? "//" : absolute ? "/" : "";
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) out += '/';
    out += parts[i];
  }
  return out.empty() ? "." : out;
}

bool is_listed_folder(std::string_view path) {
  return normal_path(path) == path && path != "." && stays_inside(path);
}

bool stays_inside(std::string_view path) {
  const std::string normal = normal_path(path);
  return normal.front() != '/' && normal != ".." && !normal.starts_with("../");
}

}  // namespace atelier::comfy
