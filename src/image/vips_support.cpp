// SPDX-License-Identifier: MIT
#include "image/vips_support.hpp"

#include <algorithm>
#include <mutex>

namespace atelier::image {

Result<void> start_vips() {
  static const bool started = [] {
    if (vips_init("atelier") != 0) return false;
    vips_block_untrusted_set(TRUE);
    // Broken files are no news for the log: what is wrong comes back in the error text.
    g_log_set_handler(
        "VIPS", G_LOG_LEVEL_WARNING, [](const char*, GLogLevelFlags, const char*, void*) {}, nullptr);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    return true;
  }();
  if (!started) return fail(Errc::internal, "libvips does not start: " + take_vips_error());
  return {};
}

std::string take_vips_error() {
  std::string text = vips_error_buffer();
  vips_error_clear();
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::ranges::replace(text, '\n', ';');
  return text.substr(0, 300);
}

}  // namespace atelier::image
