// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "runtime/runtime.hpp"

namespace atelier::gateway {

/// 256 random bits as 64 hex digits: tokens, tickets, challenges, keys that are kept in DATA_DIR.
[[nodiscard]] inline std::string fresh_secret(Runtime& runtime) {
  const Key128 first = runtime.random_key(), second = runtime.random_key();
  return first.hex() + second.hex();
}

}  // namespace atelier::gateway
