// SPDX-License-Identifier: MIT
#pragma once
// Lanczos scaling of 8-bit samples, private to resize.cpp.

#include "rehearsal/node.hpp"

namespace atelier::rehearsal {

/// `result` has its size already and is filled. See resize.hpp.
[[nodiscard]] NodeResult<Tensor> resize_lanczos(const Tensor& source, Tensor result, Watch& watch);

}  // namespace atelier::rehearsal
