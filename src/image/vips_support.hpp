// SPDX-License-Identifier: MIT
#pragma once
// Private to src/image: start of libvips, ownership of its objects, its error text.

#include <vips/vips.h>

#include <memory>
#include <string>

#include "base/result.hpp"

namespace atelier::image {

struct Unref {
  void operator()(VipsImage* image) const { g_object_unref(image); }
};
using VipsPtr = std::unique_ptr<VipsImage, Unref>;

struct GFree {
  void operator()(void* memory) const { g_free(memory); }
};

/// Starts libvips once: one thread, no operation cache, untrusted loaders blocked. Error internal if it
/// cannot start.
[[nodiscard]] Result<void> start_vips();

/// The pending message of libvips on one line; clears it.
[[nodiscard]] std::string take_vips_error();

/// Frees what libvips keeps per thread when the calling scope ends.
struct VipsThread {
  ~VipsThread() { vips_thread_shutdown(); }
};

}  // namespace atelier::image
