// SPDX-License-Identifier: MIT
#pragma once
// What a server remembers of a store that is elsewhere: its name and the last entry that was seen. A store
// that ends before it has lost entries. Not synced: it may be behind, never ahead. Any thread.

#include <string>

#include "base/ids.hpp"

namespace atelier::journal::redis {

struct SeenMark {
  std::string store;  // "": nothing is remembered
  Sequence sequence;
};

[[nodiscard]] SeenMark read_mark(const std::string& path);
/// Does nothing if `path` or the store's name is "", or if it cannot be written.
void write_mark(const std::string& path, const SeenMark& mark);

}  // namespace atelier::journal::redis
