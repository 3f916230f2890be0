// SPDX-License-Identifier: MIT
#pragma once
// multipart/form-data (RFC 7578), streamed: a push parser without I/O, and a coroutine that feeds it from a
// request. Everything wrong with the form is bad_request; too much of something is too_large (reliability.md
// 76).

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "net/http.hpp"

namespace atelier::net {

struct MultipartLimits {
  std::size_t parts_max = 64;
  std::size_t header_bytes_max = 16 << 10;      // of one part
  std::uint64_t field_bytes_max = 1 << 20;      // of a part without a file name
  std::uint64_t file_bytes_max = 200ULL << 20;  // of a part with one
};

struct PartHead {
  std::string name;
  std::optional<std::string>
      filename;              // as sent; a quote that a browser wrote as %22 stays so, as in ComfyUI
  std::string content_type;  // "" if absent
};

struct PartBegin {
  PartHead head;
};
struct PartData {
  std::string_view bytes;
};  // never empty; points into the parser, until the next push
struct PartEnd {};
using MultipartEvent = std::variant<PartBegin, PartData, PartEnd>;

class MultipartParser {
 public:
  explicit MultipartParser(std::string boundary, MultipartLimits limits = {});

  /// Takes bytes and adds what they complete to `events`. After an error the parser must not be used again.
  [[nodiscard]] Result<void> push(std::string_view bytes, std::vector<MultipartEvent>& events);
  /// The body has ended: an error unless the final boundary came.
  [[nodiscard]] Result<void> finish() const;

 private:
  enum class State { start, after_delimiter, headers, data, epilogue };
  Result<bool> step(std::vector<MultipartEvent>& events);
  Result<bool> read_delimiter_end(std::vector<MultipartEvent>& events);
  Result<bool> read_headers(std::vector<MultipartEvent>& events);
  Result<bool> read_data(std::vector<MultipartEvent>& events);
  Result<void> count_data(std::size_t bytes);

  std::string delimiter_;  // "\r\n--boundary"
  MultipartLimits limits_;
  State state_ = State::start;
  std::string input_;  // unconsumed bytes from next_ on
  std::size_t next_ = 0;
  std::size_t parts_ = 0;
  std::uint64_t part_bytes_ = 0;
  std::uint64_t preamble_bytes_ = 0;
  bool is_file_ = false;
};

/// The boundary of a Content-Type value. Errors: bad_request (other type, none, longer than 70 bytes, odd
/// bytes).
[[nodiscard]] Result<std::string> multipart_boundary(std::string_view content_type);

/// Where the parts go. Each call is awaited before more is read: back-pressure.
class MultipartSink {
 public:
  virtual ~MultipartSink() = default;
  [[nodiscard]] virtual awaitable<Result<void>> begin(PartHead head) = 0;
  [[nodiscard]] virtual awaitable<Result<void>> data(std::string_view bytes) = 0;
  [[nodiscard]] virtual awaitable<Result<void>> end() = 0;
};

/// Feeds the body of `request` to `sink`. The sink's errors end it and are passed on.
[[nodiscard]] awaitable<Result<void>> read_multipart(Request& request, MultipartSink& sink,
                                                     MultipartLimits limits = {},
                                                     Instant deadline = kNoDeadline);

}  // namespace atelier::net
