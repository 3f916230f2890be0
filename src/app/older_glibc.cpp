// SPDX-License-Identifier: MIT
// What the static libraries of this build want of a glibc newer than 2.35, for executables that run with that
// one (ATELIER_PORTABLE).
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

/// Of glibc 2.36; libstdc++ 12 asks it for std::random_device.
extern "C" std::uint32_t arc4random() noexcept {
  std::uint32_t value = 0;
  if (::getentropy(&value, sizeof value) != 0) std::abort();  // a kernel without getrandom
  return value;
}
