// SPDX-License-Identifier: MIT
#include "net/kept_bytes.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <utility>

namespace atelier::net {
namespace {

std::atomic<std::size_t> files_open{0};

std::size_t files_max() {
  static const std::size_t max = [] {
    rlimit limit{};
    return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? static_cast<std::size_t>(limit.rlim_cur) / 8 : 0;
  }();
  return max;
}

}  // namespace

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
  file_.reset(::memfd_create("atelier-kept", MFD_CLOEXEC));
  if (!file_) return false;
  for (std::size_t done = 0; done < bytes_.size();) {
    const ssize_t written = ::write(file_.get(), bytes_.data() + done, bytes_.size() - done);
    if (written <= 0) return false;
    done += static_cast<std::size_t>(written);
  }
  void* const mapped = ::mmap(nullptr, bytes_.size(), PROT_READ, MAP_SHARED, file_.get(), 0);
  if (mapped == MAP_FAILED) return false;
  view_ = {static_cast<const char*>(mapped), bytes_.size()};
  return true;
}

}  // namespace atelier::net
