// SPDX-License-Identifier: MIT
#include "journal/sqlite/database_copy.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "journal/sqlite/lock_file.hpp"
#include "journal/sqlite/sql.hpp"

namespace atelier::journal::sqlite {

Result<void> sync_path(const std::string& path, int flags) {
  const OwnedDescriptor file{::open(path.c_str(), flags | O_CLOEXEC)};
  if (file.descriptor < 0 || ::fsync(file.descriptor) != 0)
    return std::unexpected(errno_error(errno, "sync " + path));
  return {};
}

Result<void> sync_folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return sync_path(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
}

Result<std::uint64_t> copy_database(const Connection& from, const std::string& to) {
  ::unlink(to.c_str());
  {
    // SQLite would give it the mode of the umask; it fills an empty file as well.
    const OwnedDescriptor file{::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (file.descriptor < 0) return std::unexpected(errno_error(errno, "make " + to));
  }
  ATELIER_TRY(Statement vacuum_into, from.prepare(sql::kCopyInto));
  ATELIER_TRY_VOID(vacuum_into.bind_text(1, to).run());
  // SQLite does not sync what it copies into (sqlite.org/lang_vacuum.html).
  ATELIER_TRY_VOID(sync_path(to, O_RDWR));
  struct stat status{};
  if (::stat(to.c_str(), &status) != 0) return std::unexpected(errno_error(errno, "look at " + to));
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace atelier::journal::sqlite
