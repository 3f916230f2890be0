// SPDX-License-Identifier: MIT
#pragma once
// A double as ComfyUI would print it: an int where it is one. For .cpp files only.

#include <cmath>
#include <string>

#include "comfy/python_text.hpp"

namespace atelier::comfy {

[[nodiscard]] inline std::string number_text(double value) {
  if (!std::isfinite(value)) return "0";
  if (std::trunc(value) == value && std::fabs(value) < 9007199254740992.0)
    return std::to_string(static_cast<long long>(value));
  return python_float_repr(value);
}

}  // namespace atelier::comfy
