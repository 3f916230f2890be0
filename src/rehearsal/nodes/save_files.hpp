// SPDX-License-Identifier: MIT
#pragma once
// What the nodes that write files share: where a file goes, and samples in 8 bits.

#include <string>
#include <string_view>

#include "image/video.hpp"
#include "rehearsal/node.hpp"

namespace atelier::rehearsal {

/// The place for files of `prefix` whose pictures are width x height; makes its folder. Failures as ComfyUI
/// names them: Exception outside the folder of `type`, OSError if it cannot be made.
[[nodiscard]] NodeResult<SavePlace> place_for(const NodeCall& call, comfy::FileType type,
                                              const std::string& prefix, std::uint32_t width,
                                              std::uint32_t height);

/// "<stem>_<number in five digits>_<ending>"; the ending has its dot.
[[nodiscard]] std::string numbered_name(std::string_view stem, std::uint32_t number, std::string_view ending);

/// Writes the one file of an output node, and names it in the output. Failure OSError.
[[nodiscard]] NodeResult<NodeOutput> save_single(const SavePlace& place, std::string_view ending,
                                                 std::string_view bytes);

/// What ComfyUI's newer nodes show of their pictures: temporary files without texts, and `animated` false.
[[nodiscard]] NodeResult<NodeOutput> show_pictures(const NodeCall& call, const Tensor& images);

/// One frame, or all of them, as ComfyUI makes 8-bit pictures (to_byte).
[[nodiscard]] image::Picture8 to_bytes(const Tensor& images, std::uint32_t frame);
[[nodiscard]] image::Picture8 all_to_bytes(const Tensor& images);

/// The bytes of a video. Failures as ComfyUI names them: av.error.FileNotFoundError, OSError.
[[nodiscard]] NodeResult<std::string> read_video_file(const std::string& path);
/// A video's pictures and rate; those of a file are decoded. Failures as video_failure.
[[nodiscard]] NodeResult<Video> decoded(const NodeCall& call, const Video& video);
/// What src/image says of a video in ComfyUI's names; `cancelled` is an interruption.
[[nodiscard]] NodeFailure video_failure(const Error& error);

}  // namespace atelier::rehearsal
