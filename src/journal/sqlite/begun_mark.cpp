// SPDX-License-Identifier: MIT
#include "journal/sqlite/begun_mark.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>

#include "journal/sqlite/blob.hpp"
#include "journal/sqlite/database_copy.hpp"

namespace atelier::journal::sqlite {
namespace {

constexpr std::string_view kText =
    "A journal of Atelier has begun in the database beside this file. If that is lost or cut,\n"
    "the server says so and begins no new one. To begin anew, or to go on with what is left,\n"
    "remove this file, too. Seen up to this entry (with a checksum):\n";
constexpr std::size_t kDigits = 20;  // then a space, eight digits and a newline, all of it in one sector

std::string line_of(Sequence sequence) {
  std::string line = fmt::format("{:020}", sequence.value);
  line += fmt::format(" {:08x}\n", checksum(line));
  return line;
}

/// 0 if the last line is none that was written here.
Sequence read_line(std::string_view content) {
  const std::size_t size = line_of({}).size();
  if (content.size() < size) return {};
  const std::string_view line = content.substr(content.size() - size);
  Sequence sequence;
  std::from_chars(line.data(), line.data() + kDigits, sequence.value);
  return line == line_of(sequence) ? sequence : Sequence{};
}

Result<void> write_at(int file, std::size_t offset, std::string_view bytes) {
  if (::lseek(file, static_cast<off_t>(offset), SEEK_SET) < 0 ||
      ::write(file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return std::unexpected(errno_error(errno, "write the journal's mark"));
  return {};
}

}  // namespace

BegunMark::BegunMark(const std::string& database) : database_(database), path_(database + "-begun") {
  if (::access(path_.c_str(), F_OK) != 0) return;
  std::ifstream in(path_, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  upto_ = std::max(read_line(content), Sequence{1});
}

void BegunMark::raise_to(Sequence sequence) {
  const bool made = file_.descriptor >= 0;
  if (!sequence || sequence < upto_ || (made && sequence == upto_)) return;
  if (!made) {
    (void)make(sequence);
  } else if (write_at(file_.descriptor, kText.size(), line_of(sequence))) {
    upto_ = sequence;
  }
}

Result<void> BegunMark::lower_to(Sequence sequence) {
  if (sequence) {
    ATELIER_TRY_VOID(make(upto_ ? std::min(upto_, sequence) : sequence));
  } else if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
    return std::unexpected(errno_error(errno, "remove " + path_));
  }
  return sync_folder_of(path_);
}

Result<void> BegunMark::make(Sequence sequence) {
  const bool is_new = ::access(path_.c_str(), F_OK) != 0;
  OwnedDescriptor file{::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file.descriptor < 0) return std::unexpected(errno_error(errno, "open " + path_));
  const std::string content = std::string(kText) + line_of(sequence);
  auto written = write_at(file.descriptor, 0, content);
  if (written && ::ftruncate(file.descriptor, static_cast<off_t>(content.size())) != 0)
    written = std::unexpected(errno_error(errno, "cut " + path_));
  if (written && ::fsync(file.descriptor) != 0)
    written = std::unexpected(errno_error(errno, "sync " + path_));
  if (written) written = sync_folder_of(path_);
  if (!written) {
    if (is_new) ::unlink(path_.c_str());
    return written;
  }
  file_ = std::move(file);
  upto_ = sequence;
  return {};
}

Result<void> BegunMark::refuse_lost_file() const {
  struct stat status{};
  const bool lost = ::stat(database_.c_str(), &status) != 0 ? errno == ENOENT : status.st_size == 0;
  if (upto_ && lost) return fail(Errc::config, lost_after({}));
  return {};
}

std::string BegunMark::lost_after(Sequence last) const {
  constexpr std::string_view kAdvice =
      "Put a backup in its place (`atelier journal restore FILE`), or remove";
  if (!last) {
    return fmt::format(
        "{} is gone or empty, but a journal with entries up to {} has been there. {} {} to begin anew "
        "without history (the participants' files stay).",
        database_, upto_, kAdvice, path_);
  }
  return fmt::format(
      "it is missing, though entries up to {} were recorded: the database or its log was cut, or an older "
      "one was put there. {} {} to go on without them",
      upto_, kAdvice, path_);
}

}  // namespace atelier::journal::sqlite
