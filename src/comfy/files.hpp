// SPDX-License-Identifier: MIT
#pragma once
// ComfyUI's words for a participant's files: folder types, annotations in names, kinds of content.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace atelier::comfy {

enum class FileType : std::uint8_t { input, output, temp };
[[nodiscard]] std::string_view to_string(FileType type);
[[nodiscard]] std::optional<FileType> parse_file_type(std::string_view text);

/// What the front end's upload combos tell apart.
enum class ContentKind : std::uint8_t { image, video, audio, model3d, latent, other };
[[nodiscard]] std::string_view to_string(ContentKind kind);

/// By the extension's registered media type, any case, as ComfyUI filters its lists; `latent` is its own
/// kind.
[[nodiscard]] ContentKind content_kind_of(std::string_view file_name);

/// The keys of ComfyUI's model folders in the order of their registration (0.21.0, folder_paths.py).
inline constexpr std::array<std::string_view, 24> kModelFolders = {"checkpoints",
                                                                   "configs",
                                                                   "loras",
                                                                   "vae",
                                                                   "text_encoders",
                                                                   "diffusion_models",
                                                                   "clip_vision",
                                                                   "style_models",
                                                                   "embeddings",
                                                                   "diffusers",
                                                                   "vae_approx",
                                                                   "controlnet",
                                                                   "gligen",
                                                                   "upscale_models",
                                                                   "latent_upscale_models",
                                                                   "custom_nodes",
                                                                   "hypernetworks",
                                                                   "photomaker",
                                                                   "classifiers",
                                                                   "model_patches",
                                                                   "audio_encoders",
                                                                   "background_removal",
                                                                   "frame_interpolation",
                                                                   "optical_flow"};
[[nodiscard]] bool is_model_folder(std::string_view key);
/// False for the two that hold no models: the front end's library does not show them (CI D7).
[[nodiscard]] bool is_library_folder(std::string_view key);

/// A name as prompts write it: "sub/x.png [output]".
struct AnnotatedName {
  std::string name;              // without the annotation
  std::optional<FileType> type;  // what the annotation said
  [[nodiscard]] FileType type_or(FileType fallback) const { return type.value_or(fallback); }
};
/// ComfyUI 0.21 (folder_paths): a name ending in "[output]", "[input]" or "[temp]" loses that and the one
/// character before it, whatever it is.
[[nodiscard]] AnnotatedName split_annotation(std::string_view text);

/// Python's os.path.normpath for POSIX paths: "a//b/./c/.." -> "a/b", "" -> ".".
[[nodiscard]] std::string normal_path(std::string_view path);
/// True for a relative path whose normal form stays inside its folder ("." counts as inside).
[[nodiscard]] bool stays_inside(std::string_view path);

/// Could a list of all folders below one hold this name: "faces", "a/faces"?
[[nodiscard]] bool is_listed_folder(std::string_view path);
/// What stands for a folder among names of files, for inputs that take all that lies in it: its path and '/'.
[[nodiscard]] inline bool names_folder(std::string_view name) { return name.ends_with('/'); }

/// Does the participant have this file? `name` is relative to the folder of that type, without annotation. Of
/// a folder (names_folder): are there files in it?
using FileLookup = std::function<bool(FileType type, std::string_view name)>;

}  // namespace atelier::comfy
