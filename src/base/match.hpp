// SPDX-License-Identifier: MIT
#pragma once
// std::visit over a closed set of alternatives; a new alternative breaks the build wherever it is not
// handled.

namespace atelier {

template <class... F>
struct Match : F... {
  using F::operator()...;
};
template <class... F>
Match(F...) -> Match<F...>;

}  // namespace atelier
