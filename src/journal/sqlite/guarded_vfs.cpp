// SPDX-License-Identifier: MIT
#include "journal/sqlite/guarded_vfs.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cstddef>

#include "base/assert.hpp"
#include "base/crash_point.hpp"

namespace atelier::journal::sqlite {

struct GuardedVfs::Impl {
  std::string name;
  FaultInjection inject;
  std::atomic<bool> failed{false};
  sqlite3_vfs* real = nullptr;
  sqlite3_vfs vfs{};

  int before(FileOperation operation, const char* path) const {
    return inject ? inject(operation, path == nullptr ? std::string_view{} : std::string_view(path))
                  : SQLITE_OK;
  }
  /// Remembers a failure of `result` and passes it on.
  int note(int result) {
    if (result != SQLITE_OK && (result & 0xff) != SQLITE_FULL) failed.store(true, std::memory_order_relaxed);
    return result;
  }
};

namespace {

using Impl = GuardedVfs::Impl;

/// SQLite gives us the room: first this, then the real VFS's own file.
struct GuardedFile {
  sqlite3_file base;
  Impl* guard;
  const char* path;  // SQLite keeps it until xClose
};
constexpr std::size_t kRealOffset =
    (sizeof(GuardedFile) + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);

GuardedFile& guarded(sqlite3_file* file) { return *reinterpret_cast<GuardedFile*>(file); }
sqlite3_file* real(sqlite3_file* file) {
  return reinterpret_cast<sqlite3_file*>(reinterpret_cast<std::byte*>(file) + kRealOffset);
}

int close_file(sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); }

int read_file(sqlite3_file* file, void* bytes, int count, sqlite3_int64 offset) {
  if (const int fault = guarded(file).guard->before(FileOperation::read, guarded(file).path);
      fault != SQLITE_OK)
    return fault;
  return real(file)->pMethods->xRead(real(file), bytes, count, offset);
}

int write_file(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
  Impl& guard = *guarded(file).guard;
  if (guard.failed.load(std::memory_order_relaxed)) return SQLITE_IOERR_WRITE;
  crash_point("journal_before_file_write");
  if (const int fault = guard.before(FileOperation::write, guarded(file).path); fault != SQLITE_OK)
    return guard.note(fault);
  return guard.note(real(file)->pMethods->xWrite(real(file), bytes, count, offset));
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  if (guarded(file).guard->failed.load(std::memory_order_relaxed)) return SQLITE_IOERR_TRUNCATE;
  return real(file)->pMethods->xTruncate(real(file), size);
}

int sync_file(sqlite3_file* file, int flags) {
  Impl& guard = *guarded(file).guard;
  if (guard.failed.load(std::memory_order_relaxed)) return SQLITE_IOERR_FSYNC;
  crash_point("journal_before_sync");
  if (const int fault = guard.before(FileOperation::sync, guarded(file).path); fault != SQLITE_OK)
    return guard.note(fault);
  return guard.note(real(file)->pMethods->xSync(real(file), flags));
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real(file)->pMethods->xFileSize(real(file), size);
}
int lock_file(sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); }
int unlock_file(sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }
int check_lock(sqlite3_file* file, int* held) {
  return real(file)->pMethods->xCheckReservedLock(real(file), held);
}
int control(sqlite3_file* file, int what, void* argument) {
  return real(file)->pMethods->xFileControl(real(file), what, argument);
}
int sector_size(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
int characteristics(sqlite3_file* file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }
int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
  return real(file)->pMethods->xShmMap(real(file), page, size, extend, memory);
}
int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}
void shm_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
int shm_unmap(sqlite3_file* file, int remove) { return real(file)->pMethods->xShmUnmap(real(file), remove); }

// Version 2: without xFetch, so nothing is ever memory-mapped (reliability.md C2).
constexpr sqlite3_io_methods kMethods{2,           close_file,  read_file,       write_file,  truncate_file,
                                      sync_file,   file_size,   lock_file,       unlock_file, check_lock,
                                      control,     sector_size, characteristics, shm_map,     shm_lock,
                                      shm_barrier, shm_unmap,   nullptr,         nullptr};

int open_file(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* flags_out) {
  Impl* guard = static_cast<Impl*>(vfs->pAppData);
  file->pMethods = nullptr;
  const int result = guard->real->xOpen(guard->real, path, real(file), flags, flags_out);
  if (result != SQLITE_OK) return result;
  guarded(file).guard = guard;
  guarded(file).path = path;
  file->pMethods = &kMethods;
  return SQLITE_OK;
}

}  // namespace

GuardedVfs::GuardedVfs(FaultInjection inject) : impl_(std::make_unique<Impl>()) {
  static std::atomic<unsigned> counter{0};
  impl_->name = fmt::format("atelier-{}", ++counter);
  impl_->inject = std::move(inject);
  impl_->real = sqlite3_vfs_find(nullptr);
  ATELIER_ASSERT(impl_->real != nullptr);
  // Everything but xOpen is the real VFS's own function: those of unix take no state from the sqlite3_vfs but
  // its pAppData, which only xOpen uses.
  impl_->vfs = *impl_->real;
  impl_->vfs.zName = impl_->name.c_str();
  impl_->vfs.pNext = nullptr;
  impl_->vfs.pAppData = impl_.get();
  impl_->vfs.szOsFile = static_cast<int>(kRealOffset) + impl_->real->szOsFile;
  impl_->vfs.xOpen = open_file;
  sqlite3_vfs_register(&impl_->vfs, 0);
}

GuardedVfs::~GuardedVfs() { sqlite3_vfs_unregister(&impl_->vfs); }

const char* GuardedVfs::name() const { return impl_->name.c_str(); }
bool GuardedVfs::failed() const { return impl_->failed.load(std::memory_order_relaxed); }

}  // namespace atelier::journal::sqlite
