// SPDX-License-Identifier: MIT
#pragma once
// What a launched ComfyUI prints: kept in a file, and its last lines for whoever asks why it died.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace atelier::agent {

class EngineLog {
 public:
  /// Appends to `path`. Errors: io, disk_full; config if its folder cannot be made.
  [[nodiscard]] static Result<EngineLog> open(std::string path);
  EngineLog(EngineLog&& other) noexcept;
  EngineLog& operator=(EngineLog&&) = delete;
  ~EngineLog();

  /// Gives the lines that `bytes` ended, at most 340 bytes of each. A file of kFileBytesMax becomes PATH.1,
  /// in place of an older one. A disk that takes nothing loses lines, not the engine.
  std::vector<std::string> add(std::string_view bytes);
  /// The last line that says something.
  [[nodiscard]] std::string last_words() const;
  [[nodiscard]] const std::string& path() const { return path_; }

  static constexpr std::uint64_t kFileBytesMax = 16 << 20;

 private:
  EngineLog(std::string path, int fd, std::uint64_t bytes) : path_(std::move(path)), fd_(fd), bytes_(bytes) {}
  void turn_over();

  std::string path_;
  int fd_;
  std::uint64_t bytes_;
  std::string rest_;  // an unfinished line
  std::string last_;
};

}  // namespace atelier::agent
