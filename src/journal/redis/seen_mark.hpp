// SPDX-License-Identifier: MIT
#pragma once
// What a server remembers of a store that is elsewhere: the last entry it has seen. A store that ends before
// it has lost entries. Not synced: it may be behind, never ahead. Any thread, one at a time.

#include <string>

#include "base/ids.hpp"

namespace atelier::journal::redis {

/// 0 if there is none.
[[nodiscard]] Sequence read_mark(const std::string& path);
/// Does nothing if `path` is "" or it cannot be written.
void write_mark(const std::string& path, Sequence seen);

}  // namespace atelier::journal::redis
