// SPDX-License-Identifier: MIT
#pragma once
// A UUID in the one spelling that ComfyUI takes and gives: lowercase, 8-4-4-4-12.

#include <string_view>

#include "base/hash.hpp"

namespace atelier::gateway {

[[nodiscard]] inline bool is_stock_uuid(std::string_view text) {
  const auto key = Key128::parse(text);
  return key && key->uuid() == text;
}

}  // namespace atelier::gateway
