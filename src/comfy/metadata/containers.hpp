// SPDX-License-Identifier: MIT
#pragma once
// One function per kind of file, for prompt_edits (restore.hpp), which knows the kind. Errors as there; edits
// come sorted.

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "comfy/metadata/byte_source.hpp"

namespace atelier::comfy {

/// The texts that are looked for: what ComfyUI calls what it stores.
inline constexpr std::array<std::string_view, 2> kTextNames{"prompt", "workflow"};

/// From the text that stands in the file under one of kTextNames (as json.dumps printed it) to the one that
/// belongs there.
using NewText = std::function<std::string(std::string_view name, std::string_view stored)>;

/// How many chunks, boxes, elements or items of a file are looked at: as many as a film of a day has, but not
/// as many as a file made for this can have.
inline constexpr std::size_t kItemsMax = 1'000'000;

/// tEXt, uncompressed iTXt, and `comf` of animations (behind the pixels); the chunk is replaced in its place.
[[nodiscard]] Result<Edits> png_edits(const ByteSource& file, const NewText& new_text);
/// EXIF: "prompt:..." and "workflow:..." as values of tags. A shorter text leaves zeros behind it, a longer
/// one moves to the end of the block.
[[nodiscard]] Result<Edits> webp_edits(const ByteSource& file, const NewText& new_text);
/// moov/udta/meta or moov/meta: keys, or JSON in a comment (as VideoHelperSuite, the most used custom
/// node for videos, has it). If anything follows `moov`, nothing moves: a `free` box takes what
/// is left over, and a text that is longer, or shorter by less than 8 bytes, is unsupported.
[[nodiscard]] Result<Edits> mp4_edits(const ByteSource& file, const NewText& new_text);
/// Segment/Tags: tags "PROMPT" and "WORKFLOW", or JSON in "COMMENT". Nothing moves: a Void takes what is left
/// over; a longer text is unsupported.
[[nodiscard]] Result<Edits> matroska_edits(const ByteSource& file, const NewText& new_text);
/// VORBIS_COMMENT.
[[nodiscard]] Result<Edits> flac_edits(const ByteSource& file, const NewText& new_text);
/// ID3v2.3 or 2.4, TXXX in Latin-1 or UTF-8.
[[nodiscard]] Result<Edits> id3_edits(const ByteSource& file, const NewText& new_text);
/// OpusTags. The pages stay: zeros behind the comments take what is left over (RFC 7845, 5.2); a longer text
/// is unsupported.
[[nodiscard]] Result<Edits> opus_edits(const ByteSource& file, const NewText& new_text);
/// <metadata> with JSON in CDATA.
[[nodiscard]] Result<Edits> svg_edits(const ByteSource& file, const NewText& new_text);
/// asset.extras of the JSON chunk.
[[nodiscard]] Result<Edits> glb_edits(const ByteSource& file, const NewText& new_text);
/// Attributes of the type `string`; what moves the chunks is put right in their tables. Of several levels
/// (mipmaps) only a file that says its number of chunks is supported.
[[nodiscard]] Result<Edits> exr_edits(const ByteSource& file, const NewText& new_text);
/// __metadata__ of the header.
[[nodiscard]] Result<Edits> safetensors_edits(const ByteSource& file, const NewText& new_text);

/// A block of Vorbis comments: vendor, count, comments, and what follows them.
struct VorbisComments {
  std::string block;
  std::size_t end = 0;  // of the last comment
};
/// The block with the new text behind each "prompt=" and "workflow="; nothing if that changes nothing. Error
/// bad_request.
[[nodiscard]] Result<std::optional<VorbisComments>> edit_vorbis_comments(std::string_view block,
                                                                         const NewText& new_text);

/// `text`, a JSON object, with new texts in the strings `prompt` and `workflow` of its member `outer`, or of
/// the member `inner` of that; an empty name leads nowhere deeper. Nothing if nothing changes.
[[nodiscard]] std::optional<std::string> edit_json_strings(std::string_view text, std::string_view outer,
                                                           std::string_view inner, const NewText& new_text);
/// A comment on a video: a JSON object gets new texts where it has strings of these names; all else stays.
[[nodiscard]] std::string edit_comment(std::string_view stored, const NewText& new_text);

}  // namespace atelier::comfy
