// SPDX-License-Identifier: MIT
#pragma once
// How nodes that take two batches make them fit: channels and frames.

#include "rehearsal/node.hpp"

namespace atelier::rehearsal {

/// The pictures with `channels` channels: the last ones dropped, or one opaque channel added (a difference of
/// more is not possible: pictures have three or four).
[[nodiscard]] Tensor with_channels(const Tensor& source, std::uint32_t channels);

/// The first `frames` pictures, or all of them again and again until there are as many. Failure RuntimeError
/// above kTensorPixelsMax.
[[nodiscard]] NodeResult<Tensor> with_frames(const Tensor& source, std::uint32_t frames);

}  // namespace atelier::rehearsal
