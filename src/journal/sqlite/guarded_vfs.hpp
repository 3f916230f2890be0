// SPDX-License-Identifier: MIT
#pragma once
// An SQLite VFS over the operating system's own that keeps one rule (reliability.md B1 3): after a write or
// an fsync has failed nothing is written or synced any more. SQLite alone would hide a failure within the
// automatic checkpoint and repeat the fsync at the next one (PostgreSQL's fsync lesson of 2018: the kernel
// reports an error once). "No space" is no such failure. sqlite.org/c3ref/vfs.html

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace atelier::journal::sqlite {

enum class FileOperation { read, write, sync };

/// Tests: called before each operation with the file's path; a result code of SQLite other than 0 is returned
/// instead of carrying it out. On the thread of the connection.
using FaultInjection = std::function<int(FileOperation operation, std::string_view path)>;

class GuardedVfs {
 public:
  /// Registers it with SQLite under a name of its own. Must outlive the connections opened with it.
  explicit GuardedVfs(FaultInjection inject);
  ~GuardedVfs();
  GuardedVfs(const GuardedVfs&) = delete;
  GuardedVfs& operator=(const GuardedVfs&) = delete;

  [[nodiscard]] const char* name() const;
  /// A write or an fsync has failed. Any thread.
  [[nodiscard]] bool failed() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::journal::sqlite
