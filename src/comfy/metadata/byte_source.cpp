// SPDX-License-Identifier: MIT
#include "comfy/metadata/byte_source.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace atelier::comfy {

Result<std::string> ByteSource::read(std::uint64_t offset, std::uint64_t bytes) const {
  if (offset > size() || bytes > size() - offset)
    return fail(Errc::bad_request, fmt::format("a file of {} bytes that ends too early", size()));
  if (bytes > kBlockBytesMax)
    return fail(Errc::too_large, fmt::format("metadata of {} bytes; the limit is {}", bytes, kBlockBytesMax));
  ATELIER_TRY(std::string text, read_within(offset, static_cast<std::size_t>(bytes)));
  if (text.size() != bytes) return fail(Errc::io, "a file became shorter while it was read");
  return text;
}

Result<std::string> TextSource::read_within(std::uint64_t offset, std::size_t bytes) const {
  return std::string(bytes_.substr(static_cast<std::size_t>(offset), bytes));
}

Result<std::string> EditedReader::next(std::size_t bytes_max) {
  while (edit_ < edits_.size() && edits_[edit_].offset == at_) {
    Edit& edit = edits_[edit_++];
    at_ += edit.removed;
    if (!edit.inserted.empty()) return std::move(edit.inserted);
  }
  const std::uint64_t end = edit_ < edits_.size() ? edits_[edit_].offset : source_.size();
  const std::uint64_t bytes =
      std::min<std::uint64_t>(end - at_, std::min<std::uint64_t>(bytes_max, kBlockBytesMax));
  ATELIER_TRY(std::string text, source_.read(at_, bytes));
  at_ += bytes;
  return text;
}

std::uint64_t read_big(std::string_view text, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(text[at + i]);
  return value;
}

std::uint64_t read_little(std::string_view text, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(text[at + i]);
  return value;
}

std::string write_big(std::uint64_t value, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = bytes; i-- > 0; value >>= 8) text[i] = static_cast<char>(value & 0xFF);
  return text;
}

std::string write_little(std::uint64_t value, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i, value >>= 8) text[i] = static_cast<char>(value & 0xFF);
  return text;
}

}  // namespace atelier::comfy
