// SPDX-License-Identifier: MIT
#include "journal/packing.hpp"

#include <lz4.h>

#include "journal/journal.hpp"

namespace atelier::journal {
namespace {

constexpr std::size_t kShortest = 256;         // below that there is nothing to win
constexpr std::size_t kBufferKept = 1u << 20;  // of a larger one the memory is given back

}  // namespace

Packed Packer::pack(std::string_view bytes) {
  if (bytes.size() < kShortest || bytes.size() > kAttachmentBytesMax) return {bytes};
  if (buffer_.capacity() > kBufferKept) buffer_ = std::string();
  // What does not fit into three quarters stays as it is; LZ4 then gives up early.
  const std::size_t room = bytes.size() / 4 * 3;
  int written = 0;
  buffer_.resize_and_overwrite(room, [&](char* to, std::size_t) {
    written = LZ4_compress_default(bytes.data(), to, static_cast<int>(bytes.size()), static_cast<int>(room));
    return static_cast<std::size_t>(written);
  });
  if (written == 0) return {bytes};
  return {buffer_, static_cast<std::int64_t>(bytes.size())};
}

Result<std::shared_ptr<const std::string>> unpack(const Packed& packed) {
  if (packed.unpacked == 0) return std::make_shared<const std::string>(packed.bytes);
  auto bytes = std::make_shared<std::string>();
  bool whole = false;
  if (packed.unpacked > 0 && packed.unpacked <= std::int64_t{kAttachmentBytesMax} &&
      packed.bytes.size() < kAttachmentBytesMax) {
    const auto size = static_cast<std::size_t>(packed.unpacked);
    bytes->resize_and_overwrite(size, [&](char* to, std::size_t) {
      const int read = LZ4_decompress_safe(packed.bytes.data(), to, static_cast<int>(packed.bytes.size()),
                                           static_cast<int>(size));
      whole = read >= 0 && static_cast<std::size_t>(read) == size;
      return whole ? size : 0;
    });
  }
  if (!whole) return fail(Errc::io, "is damaged; see `atelier journal check`");
  return std::shared_ptr<const std::string>(std::move(bytes));
}

}  // namespace atelier::journal
