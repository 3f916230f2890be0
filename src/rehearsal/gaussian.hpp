// SPDX-License-Identifier: MIT
#pragma once
// The bell-shaped blur of ImageBlur and ImageSharpen.

#include "rehearsal/node.hpp"

namespace atelier::rehearsal {

/// Every sample becomes the mean of its (2 radius + 1)^2 neighbourhood, weighted by exp(-d^2 / (2 sigma^2))
/// where d is the distance in units of `radius`; the picture is mirrored at its edges, the edge pixel once.
/// ComfyUI convolves in two dimensions; the weights are a product, so this goes along rows and then columns
/// and differs by rounding only. Failure RuntimeError if `radius` is not smaller than both sides.
[[nodiscard]] NodeResult<Tensor> gaussian_blur(const Tensor& source, std::uint32_t radius, double sigma,
                                               Watch& watch);

}  // namespace atelier::rehearsal
