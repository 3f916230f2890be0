// SPDX-License-Identifier: MIT
#include "agent/engine_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

namespace atelier::agent {
namespace {

constexpr std::size_t kRestBytesMax = 1'000;
// In a message of the link each byte that is no UTF-8 becomes three, and a line may have 1,024.
constexpr std::size_t kLineBytesMax = 340;

int open_for_append(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

}  // namespace

Result<EngineLog> EngineLog::open(std::string path) {
  std::error_code failed;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(folder, failed);
  if (failed) return fail(Errc::config, fmt::format("--log-dir: {}: {}", folder.string(), failed.message()));
  const int fd = open_for_append(path);
  if (fd < 0) return std::unexpected(errno_error(errno, "open " + path));
  struct stat status{};
  const bool known = ::fstat(fd, &status) == 0;
  return EngineLog(std::move(path), fd, known ? static_cast<std::uint64_t>(status.st_size) : 0);
}

EngineLog::EngineLog(EngineLog&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      bytes_(other.bytes_),
      rest_(std::move(other.rest_)),
      last_(std::move(other.last_)) {}

EngineLog::~EngineLog() {
  if (fd_ >= 0) ::close(fd_);
}

void EngineLog::turn_over() {
  if (::rename(path_.c_str(), (path_ + ".1").c_str()) != 0) return;
  const int fd = open_for_append(path_);
  if (fd < 0) return;  // the old one takes on
  ::close(fd_);
  fd_ = fd;
  bytes_ = 0;
}

std::vector<std::string> EngineLog::add(std::string_view bytes) {
  if (bytes_ >= kFileBytesMax) turn_over();
  const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
  if (written > 0) bytes_ += static_cast<std::uint64_t>(written);
  std::vector<std::string> lines;
  rest_ += bytes;
  // A progress bar redraws its line with '\r': what it was in between is no line.
  std::size_t begin = 0;
  for (std::size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    std::string_view line = std::string_view(rest_).substr(begin, end - begin);
    while (line.ends_with('\r')) line.remove_suffix(1);
    if (const std::size_t again = line.rfind('\r'); again != std::string_view::npos)
      line.remove_prefix(again + 1);
    line = line.substr(0, kLineBytesMax);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    lines.emplace_back(line);
  }
  rest_.erase(0, std::max(begin, rest_.size() - std::min(rest_.size(), kRestBytesMax)));
  if (!lines.empty()) last_ = lines.back();
  return lines;
}

std::string EngineLog::last_words() const { return last_; }

}  // namespace atelier::agent
