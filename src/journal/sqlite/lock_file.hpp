// SPDX-License-Identifier: MIT
#pragma once
// The lock on a database against a second server. SQLite's own locks are held only within transactions. Ours
// is on a file beside the database: closing any descriptor of the database itself would drop SQLite's POSIX
// locks (sqlite.org/howtocorrupt.html, 2.2). Held until it is destroyed.

#include <string>
#include <utility>

#include "base/result.hpp"

namespace atelier::journal::sqlite {

struct OwnedDescriptor {
  int descriptor = -1;
  explicit OwnedDescriptor(int fd = -1) : descriptor(fd) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : descriptor(std::exchange(other.descriptor, -1)) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    std::swap(descriptor, other.descriptor);
    return *this;
  }
  ~OwnedDescriptor();
};

class LockFile {
 public:
  LockFile() = default;
  /// For the database `path`. Errors: config (another process has it, or the file cannot be made).
  [[nodiscard]] static Result<LockFile> take(const std::string& path);

 private:
  OwnedDescriptor file_;
};

}  // namespace atelier::journal::sqlite
