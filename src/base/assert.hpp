// SPDX-License-Identifier: MIT
#pragma once
// ATELIER_ASSERT is for our own mistakes in core and journal, on in release; never for bytes from a peer
// (style.md 4).

namespace atelier {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}

#define ATELIER_ASSERT(expression) \
  ((expression) ? static_cast<void>(0) : ::atelier::assertion_failed(#expression, __FILE__, __LINE__))
