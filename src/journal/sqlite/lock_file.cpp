// SPDX-License-Identifier: MIT
#include "journal/sqlite/lock_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace atelier::journal::sqlite {

OwnedDescriptor::~OwnedDescriptor() {
  if (descriptor >= 0) ::close(descriptor);
}

Result<LockFile> LockFile::take(const std::string& path) {
  const std::string name = path + "-lock";
  LockFile lock;
  lock.file_ = OwnedDescriptor(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (lock.file_.descriptor < 0) return fail(Errc::config, errno_error(errno, "open " + name).what);
  if (::flock(lock.file_.descriptor, LOCK_EX | LOCK_NB) != 0)
    return fail(Errc::config, fmt::format("another server is using {}", path));
  return lock;
}

}  // namespace atelier::journal::sqlite
