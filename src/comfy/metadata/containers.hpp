// SPDX-License-Identifier: MIT
#pragma once
// One function per kind of file, for prompt_edits (restore.hpp), which knows the kind. Errors as there; edits
// come sorted.

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "comfy/metadata/byte_source.hpp"

namespace atelier::comfy {

/// From the text that stands in the file (as json.dumps printed it) to the one that belongs there.
using NewText = std::function<std::string(std::string_view stored)>;

/// How many chunks, boxes, elements or items of a file are looked at: as many as a film of a day has, but not
/// as many as a file made for this can have.
inline constexpr std::size_t kItemsMax = 1'000'000;

/// tEXt, uncompressed iTXt, and `comf` of animations (behind the pixels); the chunk is replaced in its place.
/// `workflow`: as of prompt_edits; it stands before the pixels.
[[nodiscard]] Result<Edits> png_edits(const ByteSource& file, const NewText& new_text,
                                      const std::optional<std::string>& workflow);
/// EXIF: "prompt:..." as the value of a tag. A shorter text leaves zeros behind it, a longer one moves to the
/// end of the block.
[[nodiscard]] Result<Edits> webp_edits(const ByteSource& file, const NewText& new_text);
/// moov/udta/meta or moov/meta with keys. If anything follows `moov`, nothing moves: a `free` box takes what
/// is left over, and a text that is longer, or shorter by less than 8 bytes, is unsupported.
[[nodiscard]] Result<Edits> mp4_edits(const ByteSource& file, const NewText& new_text);
/// Segment/Tags. Nothing moves: a Void takes what is left over; a longer text is unsupported.
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
/// asset.extras.prompt of the JSON chunk.
[[nodiscard]] Result<Edits> glb_edits(const ByteSource& file, const NewText& new_text);
/// __metadata__.prompt of the header.
[[nodiscard]] Result<Edits> safetensors_edits(const ByteSource& file, const NewText& new_text);

/// A block of Vorbis comments: vendor, count, comments, and what follows them.
struct VorbisComments {
  std::string block;
  std::size_t end = 0;  // of the last comment
};
/// The block with the new text behind each "prompt="; nothing if that changes nothing. Error bad_request.
[[nodiscard]] Result<std::optional<VorbisComments>> edit_vorbis_comments(std::string_view block,
                                                                         const NewText& new_text);

/// `text`, a JSON object, with the new text in the string `prompt` of its member `outer`, or of the member
/// `inner` of that if `inner` is not empty; spaces at the end go. Nothing if there is no such string or
/// nothing changes.
[[nodiscard]] std::optional<std::string> edit_json_string(std::string_view text, std::string_view outer,
                                                          std::string_view inner, const NewText& new_text);

}  // namespace atelier::comfy
