// SPDX-License-Identifier: MIT
#include "gateway/participant/gzip_parts.hpp"

#include <zlib.h>

namespace atelier::gateway {
namespace {

void append_little_endian(std::uint32_t value, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xFF);
}

}  // namespace

Result<DeflatedPart> deflate_part(std::string_view text) {
  DeflatedPart part;
  part.length = text.size();
  part.crc = static_cast<std::uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size()));
  z_stream stream{};
  constexpr int kRaw = -15, kLevel = 6;
  if (deflateInit2(&stream, kLevel, Z_DEFLATED, kRaw, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return fail(Errc::internal, "zlib does not start");
  constexpr std::size_t kFlushBytesMax = 16;
  part.bytes.resize(deflateBound(&stream, static_cast<uLong>(text.size())) + kFlushBytesMax);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(part.bytes.data());
  stream.avail_out = static_cast<uInt>(part.bytes.size());
  const int done = deflate(&stream, Z_FULL_FLUSH);
  const bool whole = done == Z_OK && stream.avail_in == 0 && stream.avail_out > 0;
  part.bytes.resize(stream.total_out);
  deflateEnd(&stream);
  if (!whole) return fail(Errc::internal, "zlib does not end");
  part.bytes.shrink_to_fit();
  return part;
}

GzipStream::GzipStream() : bytes_("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10) {}

void GzipStream::add(const DeflatedPart& part) {
  bytes_ += part.bytes;
  crc_ = static_cast<std::uint32_t>(crc32_combine(crc_, part.crc, static_cast<z_off_t>(part.length)));
  length_ += part.length;
}

std::string GzipStream::finish() && {
  bytes_.append("\x03\x00", 2);  // an empty last block
  append_little_endian(crc_, bytes_);
  append_little_endian(static_cast<std::uint32_t>(length_), bytes_);
  return std::move(bytes_);
}

}  // namespace atelier::gateway
