// SPDX-License-Identifier: MIT
#pragma once
// A file as a row of bytes, and changes to it as a list of edits: so that the prompt inside a video of
// gigabytes is replaced without the video in memory.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace atelier::comfy {

/// The largest block of metadata that is read: twice a prompt with its workflow (PromptLimits).
inline constexpr std::uint64_t kBlockBytesMax = 64u << 20;

class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
  /// Exactly `bytes` bytes from `offset`; nothing is allocated before both are found to fit. Errors:
  /// bad_request (they pass the end), too_large (more than kBlockBytesMax), io.
  [[nodiscard]] Result<std::string> read(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  /// Within size(). May come short, which read() reports.
  [[nodiscard]] virtual Result<std::string> read_within(std::uint64_t offset, std::size_t bytes) const = 0;
};

/// Bytes in memory, which must outlive it.
class TextSource final : public ByteSource {
 public:
  explicit TextSource(std::string_view bytes) : bytes_(bytes) {}
  [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }

 private:
  [[nodiscard]] Result<std::string> read_within(std::uint64_t offset, std::size_t bytes) const override;
  std::string_view bytes_;
};

/// `removed` bytes at `offset` make way for `inserted`.
struct Edit {
  std::uint64_t offset = 0, removed = 0;
  std::string inserted;
};
/// Ascending, none touching the bytes of another. Empty: the file stays as it is.
using Edits = std::vector<Edit>;

/// Reads a source with its edits in place, from front to back. The source must outlive it.
class EditedReader {
 public:
  EditedReader(const ByteSource& source, Edits edits) : source_(source), edits_(std::move(edits)) {}
  /// At most `bytes_max` (> 0) bytes, or those of one edit; none at the end. Errors as ByteSource::read.
  [[nodiscard]] Result<std::string> next(std::size_t bytes_max);

 private:
  const ByteSource& source_;
  Edits edits_;
  std::size_t edit_ = 0;  // the next one
  std::uint64_t at_ = 0;  // in the source
};

/// The number in `bytes` (at most 8) that begin at `at`; they must be there.
[[nodiscard]] std::uint64_t read_big(std::string_view text, std::size_t at, std::size_t bytes);
[[nodiscard]] std::uint64_t read_little(std::string_view text, std::size_t at, std::size_t bytes);
[[nodiscard]] std::string write_big(std::uint64_t value, std::size_t bytes);
[[nodiscard]] std::string write_little(std::uint64_t value, std::size_t bytes);

}  // namespace atelier::comfy
