// SPDX-License-Identifier: MIT
#include "net/kept_bytes.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace atelier::net {

KeptBytes::KeptBytes(std::string bytes) : bytes_(std::move(bytes)) {
  if (bytes_.size() >= kFileMin && move_into_file()) {
    bytes_ = std::string();
  } else {
    file_.reset();
    view_ = bytes_;
  }
}

KeptBytes::~KeptBytes() {
  if (file_) ::munmap(const_cast<char*>(view_.data()), view_.size());
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
