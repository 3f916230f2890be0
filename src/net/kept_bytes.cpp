// SPDX-License-Identifier: MIT
#include "net/kept_bytes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <utility>

namespace atelier::net {
namespace {

std::atomic<std::size_t> files_open{0};

std::mutex folder_mutex;
std::string folder;  // guarded by folder_mutex; empty: none

/// A file of `size` bytes in the folder, whose place on the disk is already its own: writing to it cannot
/// fail for want of room. Empty if there is no folder or it cannot take one.
OwnedFd file_in_folder(std::size_t size) {
  const std::lock_guard lock(folder_mutex);
  if (folder.empty()) return {};
  OwnedFd file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file && ::fallocate(file.get(), 0, 0, static_cast<off_t>(size)) != 0) file.reset();
  return file;
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

std::size_t files_max() {
  static const std::size_t max = [] {
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) / 8 : 0;
  }();
  return max;
}

}  // namespace

void KeptBytes::use_folder(const std::string& path) {
  const std::lock_guard lock(folder_mutex);
  folder = path;
}

KeptBytes::KeptBytes(std::string bytes) : bytes_(std::move(bytes)) {
  if (bytes_.size() < kFileMin) bytes_.shrink_to_fit();
  view_ = bytes_;
  if (bytes_.size() < kFileMin) return;
  if (files_open.fetch_add(1) < files_max() && move_into_file()) {
    bytes_ = std::string();
  } else {
    drop_file();
  }
}

KeptBytes::~KeptBytes() {
  if (!file_) return;
  ::munmap(const_cast<char*>(view_.data()), view_.size());
  drop_file();
}

void KeptBytes::drop_file() {
  file_.reset();
  --files_open;
}

bool KeptBytes::move_into_file() {
  file_ = file_in_folder(bytes_.size());
  if (!file_) file_.reset(::memfd_create("atelier-kept", MFD_CLOEXEC));
  if (!file_ || !write_all(file_.get(), bytes_)) return false;
  void* const mapped = ::mmap(nullptr, bytes_.size(), PROT_READ, MAP_SHARED, file_.get(), 0);
  if (mapped == MAP_FAILED) return false;
  view_ = {static_cast<const char*>(mapped), bytes_.size()};
  return true;
}

}  // namespace atelier::net
