// SPDX-License-Identifier: MIT
// FLAC (RFC 9639, 8.1: a flag and a type, a size of 24 bits, the block; big-endian).
#include "comfy/metadata/containers.hpp"

namespace atelier::comfy {

Result<Edits> flac_edits(const ByteSource& file, const NewText& new_text) {
  constexpr std::uint64_t kComments = 4, kBlockMax = 0xFF'FFFF;
  Edits edits;
  std::uint64_t at = 4;
  for (std::size_t count = 0; count < kItemsMax; ++count) {
    ATELIER_TRY(const std::string head, file.read(at, 4));
    const std::uint64_t type = read_big(head, 0, 1), size = read_big(head, 1, 3);
    if (size > file.size() - at - 4) return fail(Errc::bad_request, "a FLAC that is cut off");
    if ((type & 0x7F) == kComments) {
      ATELIER_TRY(const std::string block, file.read(at + 4, size));
      ATELIER_TRY(const auto edited, edit_vorbis_comments(block, new_text));
      if (edited) {
        if (edited->block.size() > kBlockMax)
          return fail(Errc::unsupported, "a FLAC without room for the prompt");
        edits.push_back({at + 1, size + 3, write_big(edited->block.size(), 3) + edited->block});
      }
    }
    if ((type & 0x80) != 0) return edits;
    at += size + 4;
  }
  return fail(Errc::unsupported, "a FLAC of more than a million blocks");
}

}  // namespace atelier::comfy
